// Plain words for the labels of the schemes that models are trained on; another label is shown as it is.
export const WORDS = {
  NORM: "Normal ECG", MI: "Sign of a heart attack, recent or old", STTC: "Changes of the ST segment or T wave",
  CD: "Conduction disturbance", HYP: "Thickened heart muscle (hypertrophy)", AFIB: "Atrial fibrillation",
  "1AVB": "Slow conduction to the ventricles (first-degree AV block)", CLBBB: "Left bundle branch block",
  CRBBB: "Right bundle branch block", PVC: "Extra beats from the ventricles", STE: "ST elevation", STD: "ST depression",
  LVH: "Thickened left ventricle (hypertrophy)",
};

export const name = (label) => WORDS[label] ?? label;

export const percent = (value) => {
  const shown = Math.round(value * 100);
  return value > 0 && shown === 0 ? "under 1 %" : value < 1 && shown === 100 ? "over 99 %" : `${shown} %`;
};

// The calibrated probability is the one for people; older packages know none.
export const chance = (finding) => finding.calibrated ?? finding.probability;
export const bound = (finding) => finding.calibrated_threshold ?? finding.threshold;

// A set of both answers, or of none, means that the page does not decide.
export const undecided = (finding) => "plausible" in finding && finding.plausible.length !== 1;

export function verdict(finding) {
  const figures = `${percent(chance(finding))} likely, reported from ${percent(bound(finding))}`;
  const said = finding.present ? "Reported" : "Not reported";
  return `${said}${undecided(finding) ? ", but this page does not decide" : ""}: ${figures}`;
}

export function summary(findings) {
  const present = findings.filter((finding) => finding.present).map((finding) => name(finding.label));
  if (!present.length) return "The model reports none of the findings it knows. That does not rule out disease.";
  return `The model reports: ${present.join("; ")}.`;
}
