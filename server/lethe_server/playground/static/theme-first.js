// Before the first paint, so that a chosen theme does not flash. Not a module: those come later.
{
  const chosen = localStorage.getItem("lethe.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
