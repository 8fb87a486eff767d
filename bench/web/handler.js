// SPDX-License-Identifier: Apache-2.0
// The function of handler.py for Node.js: it reads a request, looks articles up, waits a moment for another service, and
// renders a page.
'use strict';

const crypto = require('crypto');
const zlib = require('zlib');

const articles = Array.from({ length: 4000 }, (_, n) =>
  ({ shop: n % 20, title: `article <${n}> of ${n % 37}`, price: (n * 7) % 1000 }));

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

function render(found) {
  const rows = found.map((one) => `<tr><td>${escape(one.title)}</td><td>${(one.price / 100).toFixed(2)}</td></tr>`);
  return `<html><body><table>${rows.join('')}</table></body></html>`;
}

exports.handler = async (event) => {
  const request = JSON.parse(JSON.stringify({ shop: event.shop ?? 3, filter: { most: 900 }, tags: [...Array(200).keys()] }));
  const found = articles.filter((one) => one.shop === request.shop && one.price < request.filter.most)
    .sort((a, b) => a.price - b.price || (a.title < b.title ? -1 : 1));
  await new Promise((resolve) => setTimeout(resolve, 2));
  let page = '';
  for (let n = 0; n < 12; n++) page += render(found);
  return { etag: crypto.createHash('sha256').update(page).digest('hex'), size: zlib.deflateSync(page, { level: 4 }).length };
};
