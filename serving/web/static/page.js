import { bound, calm, chance, name, percent, summary, undecided, verdict, wordsLoaded } from "./words.js";

const MAX_BYTES = 30e6;
const TIPS = ["Show the whole page, flat and in focus, from straight above.",
  "The millimetre grid and all rows of traces must be in the picture.", "Avoid shadow, glare and a dark table in the picture."];
const by = (id) => document.getElementById(id);
let underWay = null, last = null;

const put = (parent, tag, text, attributes = {}) => {
  const child = Object.assign(document.createElement(tag), attributes);
  child.textContent = text;
  parent.append(child);
  return child;
};

function say(text, busy = false) {
  by("status").textContent = text;
  by("status").classList.toggle("busy", busy);
  // Not on what holds the status: what is said within a busy part is kept from a screen reader.
  by("results").setAttribute("aria-busy", String(busy));
}

function refuse(place, title, reason, tips = []) {
  const box = put(place, "div", "", { className: "refusal" });
  put(box, "h2", title);
  put(box, "p", reason, { className: "reason" });
  if (tips.length) {
    const list = put(box, "ul", "");
    tips.forEach((tip) => put(list, "li", tip));
  }
}

async function send(file) {
  last = file;
  underWay?.abort();
  const mine = (underWay = new AbortController());
  by("alert").replaceChildren();
  by("results").replaceChildren();
  if (file.size > MAX_BYTES) {
    say("");
    return refuse(by("alert"), "This file was not sent", `It has ${(file.size / 1e6).toFixed(0)} MB, the limit is 30 MB; save it as JPEG.`);
  }
  say("Reading the page…", true);
  let reply, answer;
  try {
    // Neither name nor type of the file leaves this machine: its content says what it is.
    const layout = by("layout").value;
    reply = await fetch(layout ? `read?${new URLSearchParams({ layout })}` : "read", { method: "POST", body: file, signal: mine.signal,
      headers: { "Content-Type": "application/octet-stream" } });
    answer = await reply.json();
    await wordsLoaded;
  } catch (error) {
    if (error.name === "AbortError") return;
    say("");
    return refuse(by("alert"), "The reader failed", "No answer came. Check the connection and try again.");
  }
  if (mine.signal.aborted) return;
  say("");
  if (reply.ok) return show(answer);
  refuse(by("alert"), reply.status >= 500 ? "The reader failed" : "This page was not read", sentence(answer.error),
    answer.code === "no_ecg" ? TIPS : []);
  if (answer.code === "no_ecg") preview(file);
}

// Of a picture that the browser can show itself, so that a person sees which one was refused.
function preview(file) {
  const picture = Object.assign(new Image(), { alt: "The picture that you sent", className: "preview" });
  picture.addEventListener("load", () => by("alert").firstElementChild?.append(picture), { once: true });
  picture.src = URL.createObjectURL(file);
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

function show(answer) {
  const pages = answer.pages ?? [answer];
  pages.forEach((page) => by("results").append("error" in page ? unread(page) : card(page)));
  const read = pages.filter((page) => !("error" in page)).length;
  say(pages.length > 1 ? `${read} of ${pages.length} pages read.` : "The page is read.");
  by("results").querySelector(".title")?.focus();
}

function unread(page) {
  const article = document.createElement("article");
  article.className = "page";
  refuse(article, `Page ${page.page.number} of ${page.page.of} was not read`, sentence(page.error),
    page.code === "no_ecg" ? TIPS : []);
  return article;
}

function card(page) {
  const article = by("page-template").content.cloneNode(true).firstElementChild;
  const find = (selector) => article.querySelector(selector);
  const { number, of } = page.page;
  find(".title").textContent = of > 1 ? `Page ${number} of ${of}` : "Reading";
  find(".print").addEventListener("click", () => window.print());
  find(".summary").textContent = summary(page.findings);
  if (page.page.warnings.length) {
    find(".doubt").hidden = false;
    page.page.warnings.forEach((warning) => put(find(".doubt ul"), "li", sentence(warning)));
  }
  [...page.findings].sort((a, b) => b.present - a.present || chance(b) - chance(a))
    .forEach((finding) => find(".findings").append(bar(finding)));
  find(".legend.open").hidden = !page.findings.some(undecided);
  pictures(article, page);
  find(".stamp").textContent = `Read on ${new Date().toLocaleString()} by ${page.model.name} ${page.version}, `
    + `program ${page.model.digest.slice(0, 16)}. Not for diagnosis without a physician.`;
  details(find(".technical dl"), page);
  return article;
}

function bar(finding) {
  const item = by("finding-template").content.cloneNode(true).firstElementChild;
  const [label, words] = [name(finding.label), verdict(finding)];
  item.classList.toggle("present", finding.present);
  item.classList.toggle("undecided", undecided(finding));
  item.classList.toggle("calm", calm(finding.label));
  item.querySelector("strong").textContent = label;
  item.querySelector(".code").textContent = label === finding.label ? "" : finding.label;
  item.querySelector(".verdict").textContent = words;
  const meter = item.querySelector(".bar");
  meter.setAttribute("aria-label", `Probability of ${label}`);
  meter.setAttribute("aria-valuenow", (chance(finding) * 100).toFixed(1));
  meter.setAttribute("aria-valuetext", words);
  item.querySelector(".fill").style.width = `${chance(finding) * 100}%`;
  item.querySelector(".bar .tick").style.left = `${bound(finding) * 100}%`;
  return item;
}

function pictures(article, page) {
  const find = (selector) => article.querySelector(selector);
  if (!page.explain) return find(".pictures").remove();
  place(find(".straight"), page.explain.page_png, `The ECG drawn straight: ${page.page.rows} rows of traces`);
  place(find(".why figure"), page.explain.why_png, `Your picture; what spoke for ${name(page.explain.label)} is red`);
  const leads = page.explain.leads.slice(0, 3).map((part) => `${part.lead}${part.strip ? " (strip)" : ""} ${percent(part.share)}`);
  find(".why figcaption").textContent = `Red: what on the page spoke most for “${name(page.explain.label)}”, `
    + `the finding furthest above its threshold. Most of it lies in ${leads.join(", ")}.`;
  place(find(".found figure"), page.explain.overlay_png, "Your picture with the frame, rows and grid that were found drawn on it");
}

function place(figure, base64, alt) {
  const [link, image] = [figure.querySelector("a"), figure.querySelector("img")];
  link.href = image.src = picture(base64);
  image.alt = alt;
  link.ariaLabel = `${alt}; opens in full size`;
}

function picture(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
}

function details(list, page) {
  const found = page.page;
  const total = Object.values(page.timing_ms).reduce((sum, value) => sum + value, 0);
  const rows = {
    "Model's quality gate": page.model.gate.passed ? "passed" : "not passed",
    "Resolution of the picture": `${found.px_per_mm_found.toFixed(2)} pixels a millimetre, from the ${found.scale_from}`,
    "Grid found": `${percent(found.confidence)} sure`,
    ...("quality" in found ? { "Looks like a 12-lead ECG": percent(found.quality) } : {}),
    ...("coverage" in page ? { "Certainty asked for": `plausible answers hold the true one on ${percent(page.coverage)} of pages` } : {}),
    "Page turned by": `${found.rotation_deg.toFixed(1).replace(/^-0\.0$/, "0.0")}°`, "Rows of traces": String(found.rows),
    ...("layout" in found ? { "Read as": found.layout } : {}),
    "Time to read": `${total.toFixed(0)} ms`,
  };
  Object.entries(rows).forEach(([term, value]) => { put(list, "dt", term); put(list, "dd", value); });
}

function take(input) {
  const [file] = input.files;
  input.value = ""; // the same file may be chosen again
  if (file) send(file);
}

for (const id of ["file", "camera"]) {
  by(id).addEventListener("change", (event) => take(event.target));
  take(by(id)); // chosen before this script came
}
// A page that was read in the wrong arrangement need not be chosen again.
by("layout").addEventListener("change", () => last && send(last));
const over = (on) => by("drop").classList.toggle("over", on);
// Anywhere on the page: a file dropped beside the frame would otherwise replace the page.
addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
addEventListener("drop", (event) => {
  event.preventDefault();
  over(false);
  const [file] = event.dataTransfer.files;
  if (file) send(file);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (file) send(file);
});
