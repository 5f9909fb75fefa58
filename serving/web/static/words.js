// Plain words for the labels of the schemes that models are trained on; another label is shown as it is.
let words = {};
// Awaited by what shows them, not here: until a module has ended, nobody hears that a file was chosen.
// Where they do not come the labels must do.
export const wordsLoaded = fetch(new URL("words.json", import.meta.url), { signal: AbortSignal.timeout?.(10_000) })
  .then((reply) => reply.ok ? reply.json() : {}).then((found) => { words = found; }, () => {});
// Reported without alarm: these say that all is well.
const CALM = ["NORM", "NSR"];

export const name = (label) => words[label] ?? label;
export const calm = (label) => CALM.includes(label);

export const percent = (value) => {
  const shown = Math.round(value * 100);
  // No line ends between a number and its sign.
  return value > 0 && shown === 0 ? "under 1\u00a0%" : value < 1 && shown === 100 ? "over 99\u00a0%" : `${shown}\u00a0%`;
};

// The calibrated probability is the one for people; older packages know none.
export const chance = (finding) => finding.calibrated ?? finding.probability;
export const bound = (finding) => finding.calibrated_threshold ?? finding.threshold;

// Decided is what the set of plausible answers holds alone and the threshold says too.
export const undecided = ({ plausible, present }) =>
  plausible !== undefined && !(plausible.length === 1 && (plausible[0] === "present") === present);

export function verdict(finding) {
  const said = finding.present ? "reported" : "not reported";
  const start = undecided(finding) ? `Uncertain, ${said}` : said.charAt(0).toUpperCase() + said.slice(1);
  return `${start}: ${percent(chance(finding))} likely (threshold ${percent(bound(finding))})`;
}

export function summary(findings) {
  const names = (kept) => findings.filter(kept).map((finding) => name(finding.label)).join("; ");
  const present = names((finding) => finding.present);
  const open = names((finding) => !finding.present && undecided(finding));
  const ill = findings.some((finding) => finding.present && !calm(finding.label));
  return [present ? `The model reports: ${present}.` : "The model reports none of the findings it knows.",
    ill ? "" : "That does not rule out disease.", open ? `It cannot rule out: ${open}.` : ""].filter(Boolean).join(" ");
}
