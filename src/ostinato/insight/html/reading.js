// Shows one unit behind every character of the text. What it needs is in the page, as JSON.
"use strict";
for (const page of document.querySelectorAll(".reading")) {
  const data = JSON.parse(page.querySelector("script[type='application/json']").textContent);
  const spans = [...page.querySelectorAll(".text span")];
  const text = page.querySelector(".text");
  const [series, number] = [page.querySelector("[name='series']"), page.querySelector("[name='number']")];
  const readout = page.querySelector(".readout");
  let shown = null, at = -1;

  const bytes = (base64) => Int8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const signed = (v) => (v < 0 ? "\u2212" : "") + Math.abs(v).toFixed(2);
  const unpacked = data.series.map(() => null);

  function values(place, unit) {
    const group = data.series[place];
    unpacked[place] ??= bytes(group.values);
    const row = group.units.indexOf(unit);
    return { of: unpacked[place].subarray(row * spans.length, (row + 1) * spans.length), scale: group.scales[row] };
  }

  function show(place, unit, label) {
    const group = data.series[place];
    const { of, scale } = values(place, unit);
    const truth = label === null ? null : data.labels[label];
    const on = truth === null ? null : bytes(truth);
    shown = { of, scale, name: `${group.name} unit ${unit}` };
    spans.forEach((span, step) => {
      span.style.setProperty("--v", (Math.abs(of[step]) / 127).toFixed(2));
      span.classList.toggle("n", of[step] < 0);
      span.classList.toggle("on", on !== null && on[step] === 1);
    });
    page.querySelector(".showing").textContent = shown.name;
    page.querySelector(".low").textContent = signed(-scale);
    page.querySelector(".high").textContent = signed(scale);
    page.querySelector(".truth").hidden = on === null;
    series.value = String(place);
    limit();
    number.value = String(unit);
    tell();
  }

  function limit() {
    const units = data.series[Number(series.value)].units;
    number.min = String(Math.min(...units));
    number.max = String(Math.max(...units));
  }

  // The units of some series are not all there: the nearest one that is.
  function nearest(place, unit) {
    return data.series[place].units.reduce((a, b) => (Math.abs(b - unit) < Math.abs(a - unit) ? b : a));
  }

  function tell() {
    if (at < 0 || shown === null) return;
    const written = { "\n": "line end", " ": "space", "\t": "tab" }[spans[at].dataset.t ?? spans[at].textContent] ?? spans[at].textContent;
    readout.textContent = `after “${written}” (step ${at + 1}): ${signed((shown.of[at] / 127) * shown.scale)}`;
  }

  function point(step) {
    if (at >= 0) spans[at].classList.remove("at");
    at = Math.min(Math.max(step, 0), spans.length - 1);
    spans[at].classList.add("at");
    tell();
  }

  for (const radio of page.querySelectorAll("[type='radio']")) {
    const chosen = () => show(Number(radio.dataset.series), Number(radio.dataset.unit), Number(radio.dataset.label));
    radio.addEventListener("change", chosen);
    if (radio.checked) chosen();
  }
  function picked() {
    const place = Number(series.value);
    for (const radio of page.querySelectorAll("[type='radio']")) radio.checked = false;
    show(place, nearest(place, Number(number.value) || 0), null);
  }
  series.addEventListener("change", picked);
  number.addEventListener("change", picked);
  if (shown === null) picked();

  const steps = new Map(spans.map((span, step) => [span, step]));
  for (const event of ["pointerover", "click"]) {
    text.addEventListener(event, (e) => steps.has(e.target) && point(steps.get(e.target)));
  }
  text.addEventListener("keydown", (e) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, Home: -spans.length, End: spans.length }[e.key];
    if (move === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    point(at + move);
    spans[at].scrollIntoView({ block: "nearest" });
  });
}
