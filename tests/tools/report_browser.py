"""What `holdfast report` writes, in headless Chromium at two widths, in light and dark, and without scripts: charts are drawn, nothing is wider than
the screen, nothing is fetched, and the console stays empty. Skipped where chromedriver or python3-selenium is missing.
"""

import json
import shutil
import sys

import numpy as np

import programs
import report

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
except ImportError:
    webdriver = None

SKIPPED = 77
DRAWN = """
return [...document.querySelectorAll('canvas')].map((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  const pixels = new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return [canvas.id, new Set(pixels).size, canvas.toDataURL()];
})
"""


class Browser(report.Report):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        options = webdriver.ChromeOptions()
        for option in "headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"user-data-dir={cls.folder}/profile":
            options.add_argument("--" + option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        cls.browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        cls.addClassCleanup(cls.browser.quit)

    def look(self, width, scheme):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")
        widest, screen = self.browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        self.assertLessEqual(widest, screen)
        drawn = {name: (colours, picture) for name, colours, picture in self.browser.execute_script(DRAWN)}
        for name, (colours, _) in drawn.items():
            self.assertGreater(colours, 20, f"{name} at {width}, {scheme}")  # axes and text alone have about ten
        return drawn

    def style(self, selector, name):
        return self.browser.execute_script("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name)

    def test_page(self):
        folder = self.folder / ("run" + report.HOSTILE.replace("/", "_"))
        report.make_run(folder)
        for step, value in (500, np.nan), (600, 3.0):
            report.save(folder, step, {f"model/{report.HOSTILE * 3}/weight": np.full((4, 4), value), f"optimizer/{report.HOSTILE}/lr": np.float64(1e-7), "model/fc1.weight": np.eye(3)}, "--metric", 0.3)
        report.flip(report.save(folder, 700, {"model/x": np.full(9, 7.5)}), np.full(9, 7.5))
        page = self.report(folder, "--histogram", "model", status=1)
        self.browser.get((self.folder / "report.html").as_uri())

        desk = self.look(1280, "light")
        self.assertEqual(sorted(desk), sorted(e[1]["id"] for e in page.elements if e[0] == "canvas"))
        self.assertLessEqual({"metric", "curves", "sizes", "parameters", "updates", "ratios", "moment-0", "histogram-0"}, set(desk))
        light = self.style("body", "backgroundColor")
        dark = self.look(1280, "dark")  # the charts follow without a reload
        self.assertNotEqual(self.style("body", "backgroundColor"), light)
        self.assertEqual([name for name in desk if dark[name][1] == desk[name][1]], [])
        self.look(390, "dark")

        # Other layers, and a logarithmic axis.
        before = self.look(390, "light")
        self.browser.execute_script("document.querySelector('#layers input').click(); document.querySelector('#metric-log').click()")
        after = self.look(390, "light")
        changed = {name for name in after if after[name] != before[name]}
        self.assertEqual(changed - {"moment-0", "moment-1", "moment-2"}, {"metric", "parameters", "updates", "ratios"})
        self.browser.execute_script("document.querySelectorAll('#layers input:checked').forEach((box) => box.click())")  # none at all
        self.assertIsNone(self.browser.execute_script("return window.hacked ?? null"))

        # All that the tables say is there without scripts.
        self.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        self.browser.refresh()
        self.assertEqual((self.style(".charts", "display"), self.style("noscript", "display")), ("none", "inline"))

        self.assertEqual(self.browser.get_log("browser"), [])
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        self.assertEqual({a["request"]["url"] for a in asked if not a["documentURL"].startswith("chrome:")}, {(self.folder / "report.html").as_uri()})


if __name__ == "__main__":
    if webdriver is None or shutil.which("chromedriver") is None:
        print("no chromedriver or python3-selenium: skipped")
        sys.exit(SKIPPED)
    programs.main()
