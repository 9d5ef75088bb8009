// Draw blocks as slack-blocks-to-jsx does: JSON on standard input, a page on standard output.
const fs = require("fs");
const path = require("path");
const React = require("react");
const { renderToStaticMarkup } = require("react-dom/server");
const { Message } = require("slack-blocks-to-jsx");

const blocks = JSON.parse(fs.readFileSync(0, "utf-8"));
const style = fs.readFileSync(
  path.join(path.dirname(require.resolve("slack-blocks-to-jsx")), "style.css"), "utf-8");
const body = renderToStaticMarkup(
  React.createElement(Message, { blocks, logo: "", name: "JIT access", time: new Date(0) }));
process.stdout.write(
  `<!doctype html><meta charset="utf-8"><style>${style}</style><body>${body}</body>`);
