// Before anything is painted: the colours that were chosen, or those of the system.
"use strict";
{
  const chosen = (() => { try { return localStorage.getItem("ostinato.theme"); } catch { return null; } })();
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
