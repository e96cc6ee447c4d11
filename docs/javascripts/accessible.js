// What the generator leaves to be done for keyboards, screen readers and narrow columns.
(() => {
  "use strict";

  // Lists within a menu, and the buttons of a block of code, are no landmarks of their own: a page would have dozens.
  const withoutLandmark = (nav) => {
    nav.setAttribute("role", "none");
    for (const name of ["aria-label", "aria-labelledby", "aria-expanded"]) nav.removeAttribute(name);
  };

  // What scrolls sideways can be reached by the tabulator, and says what it is.
  const reachable = (box, label) => {
    if (box.scrollWidth <= box.clientWidth || box.querySelector("a[href], button, input")) return;
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", label);
  };

  // The corner of a table heads nothing. A row of such corners is no head at all: then the first cell of each row heads it.
  const withoutEmptyHeads = (head) => {
    const cells = [...head.querySelectorAll("th")];
    const empty = cells.filter((cell) => !cell.textContent.trim() && !cell.children.length);
    if (empty.length < cells.length) {
      for (const cell of empty) cell.replaceWith(document.createElement("td"));
      return;
    }
    for (const cell of head.parentElement.querySelectorAll("tbody td:first-child")) {
      const name = document.createElement("th");
      name.scope = "row";
      name.append(...cell.childNodes);
      cell.replaceWith(name);
    }
    head.remove();
  };

  const look = () => {
    document.querySelectorAll("nav nav:not([role]), nav.md-code__nav:not([role])").forEach(withoutLandmark);
    document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => reachable(box, "Table"));
    document.querySelectorAll(".md-typeset pre > code").forEach((box) => reachable(box, "Code"));
  };

  // A browser breaks lines at hyphens, within the name of a flag too.
  for (const code of document.querySelectorAll(".md-typeset :not(pre) > code")) {
    if (/^--?[\w.-]{1,40}$/.test(code.textContent)) code.classList.add("flag");
  }
  document.querySelectorAll(".md-typeset thead").forEach(withoutEmptyHeads);
  look();
  new MutationObserver(look).observe(document.querySelector(".md-content"), { childList: true, subtree: true });
  addEventListener("resize", look);
})();
