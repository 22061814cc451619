// Starts the viewer: one root, one session.

import { render } from "preact";
import "../shared/ui/theme.css";
import "./viewer.css";
import "./watch/watch.css";
import { App } from "./app";

const root = document.getElementById("app");
if (root) render(<App />, root);
