// Starts the console: one root, one key.

import { render } from "preact";
import "../shared/ui/theme.css";
import "./console.css";
import { App } from "./app";

const root = document.getElementById("app");
if (root) render(<App />, root);
