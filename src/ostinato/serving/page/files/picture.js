// A picture that is drawn, dropped in, pasted or chosen.

import { announce, faults, h } from "./dom.js";

const MOST = 1024; // pixels a side that are sent
const bytesOf = async (blob) => {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};
const blobOf = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  return canvas;
}

/** Every pixel the mean of those that fall on it: what a scanner sees. */
function shrunk(source, width, height, box) {
  const made = canvasOf(width, height), context = made.getContext("2d");
  const image = context.createImageData(width, height);
  const { data } = source.getContext("2d").getImageData(0, 0, source.width, source.height);
  const part = 4;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const sum = [0, 0, 0];
    for (let v = 0; v < part; v++) for (let u = 0; u < part; u++) {
      const sx = Math.floor(box.x + ((x + (u + 0.5) / part) / width) * box.width), sy = Math.floor(box.y + ((y + (v + 0.5) / part) / height) * box.height);
      const inside = sx >= 0 && sy >= 0 && sx < source.width && sy < source.height;
      for (let c = 0; c < 3; c++) sum[c] += inside ? data[(sy * source.width + sx) * 4 + c] : box.ground;
    }
    for (let c = 0; c < 3; c++) image.data[(y * width + x) * 4 + c] = sum[c] / part ** 2;
    image.data[(y * width + x) * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return made;
}

/** Where ink is, as a square part of the canvas with a margin, as handwritten digits are cut out. */
function inked(canvas, ground, margin, ratio) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    if (Math.abs(data[(y * width + x) * 4] - ground) < 60) continue;
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  if (right < 0) return null;
  const tall = Math.max(bottom - top + 1, (right - left + 1) / ratio) / (1 - 2 * margin);
  return { x: (left + right + 1 - tall * ratio) / 2, y: (top + bottom + 1 - tall) / 2, width: tall * ratio, height: tall, ground };
}

/**
 * @param shape {height, width} that the model reads.
 * @param isDark drawn things are bright on a dark ground.
 * @param fits pictures are sent as large as the model reads them.
 * @param onpicture called with {base64, canvas}, or null where the pad was wiped.
 */
export function pictureInput({ shape, isDark = true, fits = false, onpicture }) {
  const { height, width } = shape ?? { height: 28, width: 28 };
  const unit = Math.max(Math.round(320 / Math.max(width, height)), 2);
  const pad = canvasOf(width * unit, height * unit), context = pad.getContext("2d", { willReadFrequently: true });
  const [ground, ink] = isDark ? [0, "#fff"] : [255, "#000"];
  const fault = faults();
  let cell = { x: Math.floor(width / 2), y: Math.floor(height / 2) }, stroke = null, isBlank = true, timer = 0;

  pad.className = `pad${isDark ? "" : " light"}`;
  pad.tabIndex = 0;
  pad.setAttribute("role", "application");
  pad.setAttribute("aria-label", `A pad to draw on, ${width} by ${height}. Draw with a mouse, a finger, or arrow keys and space`);
  pad.style.setProperty("--shape", `${width} / ${height}`);

  function wipe(tell = true) {
    context.fillStyle = isDark ? "#000" : "#fff";
    context.fillRect(0, 0, pad.width, pad.height);
    isBlank = true;
    if (tell) onpicture(null);
  }

  async function drawn() {
    const box = fits || !isBlank ? inked(pad, ground, Math.min(width, height) <= 12 ? 0 : 0.14, width / height) : null;
    if (!box) return;
    const small = shrunk(pad, width, height, box);
    onpicture({ base64: await bytesOf(await blobOf(small)), canvas: small });
  }
  const soon = () => { clearTimeout(timer); timer = setTimeout(drawn, 40); };

  // with a pointer
  const spot = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * pad.width, ((event.clientY - box.top) / box.height) * pad.height];
  };
  function line(from, to) {
    const least = Math.min(pad.width, pad.height);
    Object.assign(context, { strokeStyle: ink, lineCap: "round", lineJoin: "round", lineWidth: least * 0.09 }); // as thick as pens are in handwritten digits
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    isBlank = false;
    soon();
  }
  pad.addEventListener("pointerdown", (event) => {
    if (hasFile) { wipe(false); hasFile = false; }
    pad.setPointerCapture(event.pointerId);
    stroke = spot(event);
    line(stroke, stroke);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const to = spot(each);
      line(stroke, to);
      stroke = to;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { stroke = null; });

  // with keys: a cell at a time
  pad.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === " ") {
      const was = context.getImageData((cell.x + 0.5) * unit, (cell.y + 0.5) * unit, 1, 1).data[0] !== ground;
      context.fillStyle = was ? (isDark ? "#000" : "#fff") : ink;
      context.fillRect(cell.x * unit, cell.y * unit, unit, unit);
      isBlank = false;
      soon();
      announce(was ? "wiped" : "inked");
    } else if (dx || dy) {
      cell = { x: Math.min(Math.max(cell.x + dx, 0), width - 1), y: Math.min(Math.max(cell.y + dy, 0), height - 1) };
      announce(`column ${cell.x + 1}, row ${cell.y + 1}`);
      here.textContent = `column ${cell.x + 1}, row ${cell.y + 1}`;
    } else if (event.key === "Delete" || event.key === "Backspace") wipe();
    else return;
    event.preventDefault();
  });

  // as a file
  let hasFile = false;
  async function take(file) {
    if (!file) return;
    fault.clear();
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      fault.show({ title: "That is no picture. ", words: `The browser cannot read ${file.name || "what was given"}; PNG and JPEG are best.` });
      return;
    }
    hasFile = true;
    wipe(false);
    const scale = Math.max(pad.width / bitmap.width, pad.height / bitmap.height);
    const [w, t] = [bitmap.width * scale, bitmap.height * scale];
    context.imageSmoothingQuality = "high";
    context.imageSmoothingEnabled = scale < 1;
    context.drawImage(bitmap, (pad.width - w) / 2, (pad.height - t) / 2, w, t);
    isBlank = false;
    if (fits) {
      const small = shrunk(pad, width, height, { x: 0, y: 0, width: pad.width, height: pad.height, ground });
      onpicture({ base64: await bytesOf(await blobOf(small)), canvas: small });
    } else {
      const most = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
      const sent = canvasOf(Math.max(Math.round(bitmap.width * most), 1), Math.max(Math.round(bitmap.height * most), 1));
      sent.getContext("2d").drawImage(bitmap, 0, 0, sent.width, sent.height);
      onpicture({ base64: await bytesOf(await blobOf(sent)), canvas: sent });
    }
    announce(`Picture ${file.name ?? ""} taken`);
  }

  const file = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => { take(file.files[0]); file.value = ""; } });
  const here = h("span", { class: "hint number", "aria-hidden": "true" });
  const element = h("div", { class: "drop" }, pad, here, fault.element,
    h("div", { class: "row" }, h("button", { onclick: () => file.click() }, "Choose a picture"), h("button", { class: "plain", onclick: () => { hasFile = false; wipe(); } }, "Wipe")),
    h("p", { class: "hint" }, "Draw above, drop a picture in, or paste one."), file);
  element.addEventListener("dragover", (event) => { event.preventDefault(); element.classList.add("over"); });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  const pasted = (event) => {
    const given = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (given) take(given);
  };
  document.addEventListener("paste", pasted);
  wipe(false);
  return { element, close() { document.removeEventListener("paste", pasted); clearTimeout(timer); } };
}
