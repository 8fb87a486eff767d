# SPDX-License-Identifier: Apache-2.0
"""A function as web sites have them: it reads a request, asks a database, waits a moment for another service, and renders
a page. Some milliseconds of CPU time a call, in the interpreter and in libraries."""
import hashlib
import html
import json
import sqlite3
import time
import zlib

DATABASE = sqlite3.connect(":memory:", check_same_thread=False)
DATABASE.execute("create table article (id integer primary key, shop integer, title text, price integer)")
DATABASE.executemany("insert into article values (?, ?, ?, ?)",
                     [(n, n % 20, f"article <{n}> of {n % 37}", n * 7 % 1000) for n in range(4000)])
DATABASE.execute("create index by_shop on article (shop)")


def render(articles):
    rows = "".join(f"<tr><td>{html.escape(title)}</td><td>{price / 100:.2f}</td></tr>" for title, price in articles)
    return f"<html><body><table>{rows}</table></body></html>"


def handler(event, context):
    request = json.loads(json.dumps({"shop": event.get("shop", 3), "filter": {"most": 900}, "tags": list(range(200))}))
    articles = [row for row in DATABASE.execute("select title, price from article where shop = ? order by price",
                                                (request["shop"],)) if row[1] < request["filter"]["most"]]
    time.sleep(0.002)
    page = "".join(render(articles) for _ in range(4))
    return {"etag": hashlib.sha256(page.encode()).hexdigest(), "size": len(zlib.compress(page.encode(), 4))}
