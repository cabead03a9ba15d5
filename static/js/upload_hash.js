// SHA-256 where the browser offers it: crypto.subtle exists on https and on this machine only.

export async function sha256(buffer) {
  return globalThis.crypto?.subtle ? crypto.subtle.digest("SHA-256", buffer) : null;
}

export function hex(buffer) {
  return [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
