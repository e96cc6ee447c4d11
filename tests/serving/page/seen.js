// What is wrong with what is seen: controls that a screen reader has no name for, and text with a contrast below WCAG's AA against
// what is painted behind it. The value of this file is a function that gives complaints.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => rgb.reduce((sum, v, i) => sum + linear(v / 255) * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    const all = [];
    for (let at = e; at; at = at.parentElement) all.push(rgba(getComputedStyle(at).backgroundColor));
    return all.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  for (const e of document.querySelectorAll("button, input, select, textarea, [role=slider], [role=tab], svg[role=img], a")) {
    if (!e.checkVisibility() || e.getAttribute("aria-hidden") === "true") continue;
    if (!(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim() || e.title)) found.push(`has no name: ${e.outerHTML.slice(0, 120)}`);
  }
  const unread = ".unseen, .skip, [disabled], option, script, noscript, title, textarea";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const e = node.parentElement, style = getComputedStyle(e);
    if (!node.data.trim() || !e.checkVisibility() || e.closest(unread)) continue;
    const below = ground(e), isDrawn = e.namespaceURI.endsWith("svg");
    const [dark, bright] = [light(over(rgba(isDrawn ? style.fill : style.color), below)), light(below)].sort((a, b) => a - b);
    const ratio = (bright + 0.05) / (dark + 0.05), least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < least) found.push(`contrast ${ratio.toFixed(2)}: ${node.data.trim().slice(0, 30)} (${e.tagName} ${e.getAttribute("class")})`);
  }
  return [...new Set(found)].slice(0, 12);
}
