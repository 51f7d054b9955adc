// Puts what the page loads into dist/: the pinned packages' own browser files, and ours. Run by `make playground`.
import { copyFileSync, mkdirSync, rmSync } from "node:fs";

const FILES = [
  ["node_modules/react/umd/react.production.min.js", "react.js"],
  ["node_modules/react-dom/umd/react-dom.production.min.js", "react-dom.js"],
  ["node_modules/graphiql/graphiql.min.js", "graphiql.js"],
  ["node_modules/graphiql/graphiql.min.css", "graphiql.css"],
  ["node_modules/graphql-ws/umd/graphql-ws.min.js", "graphql-ws.js"],
  ["playground.css", "playground.css"],
  // Last: the page is served once this one is there.
  ["playground.js", "playground.js"],
];

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");
for (const [from, to] of FILES) copyFileSync(from, `dist/${to}`);
