// Code and tables that are wider than the screen can be scrolled by the keyboard. The theme makes
// them late, and takes the tab stop away on a screen that is touched.
{
  const reach = () => {
    for (const one of document.querySelectorAll("pre > code, .md-typeset__scrollwrap"))
      if (one.tabIndex < 0 && one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    for (const one of document.querySelectorAll("nav.md-code__nav")) one.role = "none"; // a button
  };
  const watched = { subtree: true, childList: true, attributeFilter: ["tabindex"] };
  new MutationObserver(reach).observe(document.body, watched);
  addEventListener("resize", reach);
  reach();
}
