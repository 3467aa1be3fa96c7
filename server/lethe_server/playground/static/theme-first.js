// Before the first paint, so that a chosen theme does not flash. Not a module: those come later.
try {
  const chosen = localStorage.getItem("lethe.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // The browser keeps nothing for this page: the system's theme it is.
}
