// The page's start: asks what the run is, then builds its parts, which follow the view by themselves.

import { clearError, get, report } from "./api.js";
import { Changes } from "./changes.js";
import { buildChips } from "./chips.js";
import { Columns } from "./columns.js";
import { byId, debounce, setText } from "./dom.js";
import { find, setText as setTextCondition, startsText } from "./filters.js";
import { Grid } from "./grid.js";
import { ImagePanel } from "./image_panel.js";
import { listenToKeys } from "./keys.js";
import { buildPatterns } from "./patterns.js";
import { Plot } from "./plot.js";
import { Rows } from "./rows.js";
import { Scenarios } from "./scenarios.js";
import { current, filterBy, visit, watch } from "./state.js";
import { buildTabs } from "./tabs.js";
import { buildTakeOut } from "./take_out.js";
import { buildToolbar } from "./toolbar.js";
import { rememberPatternNames, visible, whole } from "./words.js";

const LINK = /^\s*http:\/\/(127\.0\.0\.1|localhost):\d+\/\S*#\S*\s*$/; // of a view, in this explorer or another

start().catch(report);

async function start() {
  watch(clearError);
  const [run, patterns] = await Promise.all([get("api/run"), get("api/patterns")]);
  run.columnsByName = new Map(run.columns.map((column) => [column.name, column]));
  rememberPatternNames(patterns);
  buildHeader(run);
  buildTabs(byId("tabs"), tabNames(run, patterns));
  buildChips(byId("chips"), run);
  buildToolbar(byId("toolbar"), run);
  buildTakeOut(byId("take-out"));
  const { grid, panel } = buildGrid(run);
  new Columns(byId("columns"), run);
  if (run.spaces.length) new Plot(byId("view-plot"), run);
  if (patterns.length) buildPatterns(byId("view-patterns"), patterns);
  new Scenarios(byId("view-scenarios"), run);
  if (run.compared) new Changes(byId("view-changes"), run);
  listenToKeys(panel, grid);
}

function tabNames(run, patterns) {
  return ["grid", ...(run.spaces.length ? ["plot"] : []), ...(patterns.length ? ["patterns"] : []), "scenarios", ...(run.compared ? ["changes"] : [])];
}

/** Grid and panel share the rows of the selection. */
function buildGrid(run) {
  let isNew = true;
  const rows = new Rows(() => {
    if (isNew) grid.arrive();
    else grid.draw();
    isNew = false;
    panel.showPlace();
    setText(byId("count"), rows.total === run.rows ? `${whole(run.rows)} images` : `${whole(rows.total)} of ${whole(run.rows)} images`);
  });
  const grid = new Grid(byId("grid"), rows, run);
  const panel = new ImagePanel(byId("panel"), run, rows, grid);
  watch((view, before) => {
    const asked = ["conditions", "sort", "order"].some((part) => view[part] !== before[part]);
    if (!asked) return;
    isNew = true;
    rows.ask(view);
  });
  byId("skip").addEventListener("click", () => grid.focus());
  return { grid, panel };
}

function buildHeader(run) {
  const [now, before] = run.runs;
  document.title = `${visible(now.name)} · Sightline`;
  setText(byId("run-name"), before ? `${visible(now.name)} compared with ${visible(before.name)}` : visible(now.name));
  byId("run-name").title = visible(now.path);
  const unfinished = run.runs.filter(({ finished }) => !finished).map(({ name }) => `; ${visible(name)} is not finished: this is what there is`);
  setText(byId("run-model"), (before ? `${visible(now.model)}, before: ${visible(before.model)}` : visible(now.model)) + unfinished.join(""));
  buildSearch(byId("search"));
  const filters = byId("filters-button");
  filters.addEventListener("click", () => {
    const open = document.body.classList.toggle("with-filters");
    filters.setAttribute("aria-expanded", String(open));
    setText(filters, open ? "Show images" : "Filters");
  });
}

/** Text anywhere in a row: its id and every column of words. */
function buildSearch(input) {
  const set = () => {
    if (LINK.test(input.value)) {
      visit(input.value.trim());
      input.value = "";
      return;
    }
    const { conditions } = current();
    filterBy(setTextCondition(conditions, null, input.value.trim()), startsText(conditions, null));
  };
  input.addEventListener("input", debounce(180, set));
  watch((view) => {
    if (document.activeElement !== input) input.value = find(view.conditions, "text", null)?.text ?? "";
  });
}
