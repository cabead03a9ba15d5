// The clock of whoever reads, beside the one of the place.
export const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;

export function clock(at, timeZone, more = {}) {
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone, ...more }).format(at);
}

const day = (at, timeZone) => new Intl.DateTimeFormat("en-GB", { weekday: "short", timeZone }).format(at);

export function differs(at, zone) {
  return clock(at, mine) !== clock(at, zone) || day(at, mine) !== day(at, zone);
}

// Their own time of day; with the weekday only where it differs.
export function own(at, zone) {
  return clock(at, mine, day(at, mine) === day(at, zone) ? {} : { weekday: "short" });
}
