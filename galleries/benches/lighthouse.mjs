// Lighthouse in a browser that has a cookie already, as a phone that opened its link. Run by `manage.py bench proofs`
// from the folder that holds node_modules: node lighthouse.mjs <chromium> <cookie name=value> <address> <report>
import { writeFileSync } from "node:fs";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

const [, , executablePath, cookie, address, report] = process.argv;
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const browser = await puppeteer.launch({ executablePath, args: [...args, "--disable-component-update", "--disable-sync"] });
try {
  const page = await browser.newPage();
  const [name, value] = cookie.split("=");
  await page.setCookie({ name, value, url: address, httpOnly: true, sameSite: "Lax" });
  // the profile is new, so there is nothing to clear but that cookie
  const flags = { onlyCategories: ["performance"], disableStorageReset: true, logLevel: "error" };
  const seen = await lighthouse(address, flags, undefined, page);
  writeFileSync(report, JSON.stringify(seen.lhr));
} finally {
  await browser.close();
}
