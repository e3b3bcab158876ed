"use strict";
const MOST = 5;
const part = (id) => document.getElementById(id);

async function begin() {
  const model = await (await fetch("model")).json();
  for (const [name, classes] of Object.entries(model.datasets)) {
    const option = new Option(`${name} (${classes.length})`, name, name === model.default, name === model.default);
    part("dataset").add(option);
  }
  part("wish").hidden = !model.attention;
  part("about").textContent = `${model.method} on ${model.backbone}`;
}

async function classify(file) {
  part("error").textContent = "";
  part("result").hidden = true;
  part("status").textContent = "Classifying …";
  const body = new FormData();
  body.append("image", file);
  body.append("dataset", part("dataset").value);
  body.append("attention", String(!part("wish").hidden && part("attention").checked));
  try {
    const answer = await fetch("classify", { method: "POST", body });
    const value = await answer.json();
    if (!answer.ok) throw new Error(value.error);
    show(file, value.predictions[0]);
  } catch (error) {
    part("error").textContent = error.message;
  }
  part("status").textContent = "";
}

function show(file, found) {
  const best = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, MOST);
  part("rows").replaceChildren(...best.map(([name, share]) => {
    const row = document.createElement("tr");
    for (const text of [name, `${(100 * share).toFixed(1)} %`]) {
      row.appendChild(document.createElement("td")).textContent = text;
    }
    return row;
  }));
  URL.revokeObjectURL(part("shown").src);
  part("shown").src = URL.createObjectURL(file);
  part("figure").hidden = !found.attention;
  if (found.attention) {
    part("picture").src = found.attention;
    part("picture").alt = `What the patches of an image of ${found.class} attend to`;
  }
  part("result").hidden = false;
  part("heading").textContent = found.classes ? found.classes.join(", ") || "none of the classes" : found.class;
  part("heading").focus();
}

part("image").addEventListener("change", (event) => {
  if (event.target.files.length) classify(event.target.files[0]);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  part("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    part("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) classify(event.dataTransfer.files[0]);
  });
}
part("form").addEventListener("submit", (event) => event.preventDefault());
begin().catch((error) => { part("error").textContent = error.message; });
