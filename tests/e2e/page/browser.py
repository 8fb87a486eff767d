# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium by the WebDriver protocol, with nothing but Python's own library and Debian's chromium-driver."""
import base64
import json
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
         # Frames as fast as they can be drawn: a test waits for some of them after each step.
         "--disable-frame-rate-limit", "--disable-gpu-vsync"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Left": "\ue012", "Up": "\ue013", "Right": "\ue014", "Down": "\ue015", "Tab": "\ue004"}


def find():
    """The paths of chromedriver and chromium, or None."""
    driver, browser = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    return (driver, browser) if driver and browser else None


class Browser:
    def __init__(self, size=(1440, 900), dark=False, scale=1):
        driver, browser = find()
        self.profile = tempfile.TemporaryDirectory(prefix="fnprof-chromium-")
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            found = re.search(r"successfully on port (\d+)", line.strip())
            if found:
                break
        self.base = f"http://127.0.0.1:{found[1]}"
        args = [*FLAGS, f"--user-data-dir={self.profile.name}", f"--window-size={size[0]},{size[1]}", f"--force-device-scale-factor={scale}"]
        if dark:
            args.append("--blink-settings=preferredColorScheme=0")
        try:
            session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": {"args": args, "binary": browser},
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        except Exception:
            self.close()
            raise
        self.base += "/session/" + session["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.call("DELETE", "")
        except (OSError, urllib.error.URLError):
            pass
        self.driver.terminate()
        self.driver.wait()
        self.profile.cleanup()

    def call(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"].split("\n")[0]) from None

    def cdp(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, script, *args):
        """Runs a script, the body of an async function."""
        return self.call("POST", "/execute/async", {
            "script": "const done = arguments[arguments.length - 1];"
                      "(async (...args) => {" + script + "})(...arguments).then((v) => done({v}), (e) => done({e: String(e)}));",
            "args": list(args)})["v"]

    def until(self, script, *args, seconds=30):
        """Waits until an expression holds, and returns it."""
        return self.wait(f"""for (const end = Date.now() + {seconds * 1000}; Date.now() < end;) {{
            const value = (() => {{ return {script} }})();
            if (value) return value;
            await new Promise((ok) => setTimeout(ok, 20));
        }} return null;""", *args)

    def pointer(self, *steps, kind="mouse"):
        """Steps are (x, y) to move to, "down" and "up"."""
        actions = []
        for step in steps:
            if isinstance(step, str):
                actions.append({"type": "pointerDown" if step == "down" else "pointerUp", "button": 0})
            else:
                actions.append({"type": "pointerMove", "x": round(step[0]), "y": round(step[1]), "duration": 0})
        self.call("POST", "/actions", {"actions": [{"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": actions}]})

    def press(self, *keys):
        """Names out of KEYS, or text that is typed."""
        text = "".join(KEYS.get(key, key) for key in keys)
        actions = [{"type": t, "value": c} for c in text for t in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def log(self, kind):
        return self.call("POST", "/se/log", {"type": kind})

    def requests(self):
        """URLs that were asked for since the last call."""
        urls = []
        for entry in self.log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(message["params"]["request"]["url"])
        return urls

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))
