// Draws each figure when it comes near the screen, in the page's colours, and again when those change.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const plots = Array.from(document.querySelectorAll(".plot"));
const records = new Map(plots.map((plot) => [plot, JSON.parse(plot.querySelector("script").textContent)]));
const drawn = new Set();

function draw(plot) {
  const record = records.get(plot);
  // The page writes the title itself, so that it wraps on a narrow screen.
  const layout = { ...record.layout, autosize: true, title: undefined };
  if (record.themed) layout.margin = { ...TEMPLATES.light.layout.margin, ...layout.margin, t: 32 };
  if (record.themed) layout.template = TEMPLATES[dark.matches ? "dark" : "light"];
  const narrow = window.innerWidth < 700;
  if (narrow) layout.dragmode = false; // a finger scrolls the page
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: narrow ? false : "hover",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  Plotly.react(plot, record.data, layout, config);
  drawn.add(plot);
}

const nearby = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      nearby.unobserve(entry.target);
      draw(entry.target);
    }
  },
  { rootMargin: "800px" },
);
plots.forEach((plot) => nearby.observe(plot));
dark.addEventListener("change", () => drawn.forEach(draw));
window.addEventListener("beforeprint", () => plots.forEach((plot) => drawn.has(plot) || draw(plot)));
