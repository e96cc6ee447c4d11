"""What is done in each view, and what must come of it; a check gives the complaints."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TypeAlias

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.serving.page.stub import EVIL, Stub

Found: TypeAlias = list[str]


def png() -> bytes:
    """A red square with a white spot, of 16 x 16 pixels."""
    image = Image.new("RGB", (16, 16), (200, 30, 30))
    image.paste((255, 255, 255), (3, 3, 9, 9))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


PICTURE = png()


def language(page: Page, info: dict[str, Any], is_canned: bool) -> Found:
    found: Found = []
    words = page.get_by_label("Words of your own")
    if not words.input_value():
        words.fill("the ")
    begun = words.input_value()
    settings = page.locator("details", has=page.get_by_text("How it writes"))
    if settings.get_attribute("open") is None:
        settings.locator("summary").click()
    page.get_by_label("Tokens", exact=True).select_option("100")
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".paper span").nth(99)).to_be_visible(timeout=30000)
    expect(page.get_by_role("button", name="Write")).to_be_enabled(timeout=30000)
    if not info["sessions"]:
        return without_sessions(page)
    text = page.locator(".paper").inner_text()
    if not text.startswith(begun.split("\n")[0]):
        found.append(f"the text does not begin with what was given: {text[:30]!r}")
    expect(page.locator(".bars button").first).to_be_visible()
    # a unit that means something
    expect(page.locator(".unit").nth(1)).to_be_visible(timeout=30000)
    page.locator(".unit").nth(1).click()
    expect(page.locator(".paper span[style*='--v']").nth(40)).to_be_visible()
    if page.locator(".paper span.n").count() == 0:
        found.append("no token has a negative value")
    # a likely token
    count = page.locator(".paper span").count()
    page.locator(".bars button").nth(1).click()
    expect(page.locator(".paper span")).to_have_count(count + 1)
    # forks, with the mouse and with keys
    page.locator(".paper span").nth(20).click()
    expect(page.locator("#readout")).to_contain_text("token 21 of")
    page.get_by_role("button", name="Fork here").click()
    expect(page.locator(".paper span")).to_have_count(20)
    expect(page.get_by_role("tab")).to_have_count(2)
    if page.get_by_role("tab", selected=True).inner_text()[0] != "2":
        found.append("the new branch is not shown")
    page.get_by_role("tab", selected=True).press("ArrowLeft")
    expect(page.locator(".paper span")).to_have_count(count + 1)
    page.locator(".paper").press("ArrowLeft")
    page.locator(".paper").press("ArrowLeft")
    page.locator(".paper").press("ArrowUp")
    before = page.locator("#readout").inner_text()
    page.locator(".paper").press("ArrowLeft")
    if page.locator("#readout").inner_text() == before:
        found.append("the arrow keys do not go through the text")
    page.locator(".bars button").nth(2).click()
    expect(page.get_by_role("tab")).to_have_count(3)
    # stop, and go on from there
    page.get_by_label("Tokens", exact=True).select_option("3000")
    now = page.locator(".paper span").count()
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".paper span").nth(now + 30)).to_be_visible(timeout=30000)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Write")).to_be_enabled(timeout=30000)
    stopped = page.locator(".paper span").count()
    page.locator(".bars button").first.click()
    expect(page.locator(".paper span")).to_have_count(stopped + 1, timeout=30000)
    page.wait_for_timeout(400)
    return found + alerts(page)


def without_sessions(page: Page) -> Found:
    """A fork is the text up to there, read again when it goes on."""
    page.locator(".paper span").nth(30).click()
    page.locator(".bars button").nth(1).click()
    expect(page.locator(".paper span")).to_have_count(31)  # the last is the token that was chosen
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".paper span")).to_have_count(131)
    return alerts(page)


def classify(page: Page, info: dict[str, Any], is_canned: bool) -> Found:
    if info.get("input") == "recording":
        return recording(page, info, is_canned)
    if info.get("input") == "image":
        found = draw(page)
        expect(page.locator(".verdict strong")).to_be_visible(timeout=15000)
        expect(page.locator(".bars .bar").nth(1)).to_be_visible()
        return found + alerts(page)
    found = []
    box = page.get_by_label("A text", exact=False)
    box.fill("")
    box.press_sequentially("a tree is a plant and a river", delay=12)
    expect(page.locator(".verdict strong")).to_be_visible(timeout=15000)
    expect(page.locator(".area path").first).to_be_visible()
    box.press("Backspace")
    page.wait_for_timeout(300)
    shown = page.locator(".steps-text").inner_text().strip()
    if is_canned and shown != "a tree is a plant and a rive":
        found.append(f"expected the text without its last letter below the picture, got {shown!r}")
    page.locator(".area").focus()
    page.locator(".area").press("ArrowLeft")
    if "After" not in (page.locator(".area").get_attribute("aria-valuetext") or ""):
        found.append("the arrow keys do not go through the decision")
    return found + alerts(page)


def draw(page: Page) -> Found:
    pad = page.locator(".pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.3, 0.2))
    page.mouse.down()
    for spot in ((0.7, 0.2), (0.55, 0.5), (0.42, 0.85)):
        page.mouse.move(*at(*spot), steps=6)
    page.mouse.up()
    return []


def recording(page: Page, info: dict[str, Any], is_canned: bool) -> Found:
    steps = [["0.5"] * len(info["channels"]), [""] * len(info["channels"]), ["1"] * len(info["channels"])]
    page.locator("#steps").fill("\n".join(",".join(each) for each in steps))
    expect(page.locator(".legend li").first).to_be_visible(timeout=15000)
    if is_canned:
        expect(page.locator(".legend li")).to_have_text(
            ["0 to 0: wave, 90.0 %", "1 to 1: rest, 90.0 %", "2 to 2: wave, 90.0 %"]
        )
    return alerts(page)


def tag(page: Page, info: dict[str, Any], is_canned: bool) -> Found:
    if info.get("input") == "recording":
        return recording(page, info, is_canned)
    found = []
    box = page.locator("#tagged")
    expect(page.locator(".legend li").first).to_be_visible(timeout=15000)
    if info.get("input") == "words":
        box.fill("two 2 three")
        if is_canned:
            expect(page.locator(".words small")).to_have_text(["NOUN", "NUM", "NOUN"])
        return found + alerts(page)
    box.press("Control+End")
    box.press_sequentially("x = 12  # <b>twelve</b>", delay=12)
    page.wait_for_timeout(400)
    if page.locator(".editor.plain").count():
        found.append("the text has no colours")
    if page.locator(".editor pre").inner_text().rstrip("\n") != box.input_value().rstrip("\n"):
        found.append("the colours are of another text")
    return found + alerts(page)


def translate(page: Page, info: dict[str, Any], is_canned: bool) -> Found:
    found = []
    page.get_by_label("What is read").fill("3 March 1999")
    page.get_by_label("What is read").press("Enter")
    expect(page.get_by_text("The best answers")).to_be_visible(timeout=20000)
    if is_canned and page.locator(".translation").inner_text() != "9991 hcraM 3":
        found.append(f"the answer is {page.locator('.translation').inner_text()!r}")
    page.locator(".translation button").nth(3).focus()
    if "looked at" not in page.locator(".card p[aria-live]").inner_text():
        found.append("a token of the answer does not say where it looked")
    expect(page.locator(".matrix rect.line")).to_be_visible()
    page.locator(".matrix").focus()
    page.locator(".matrix").press("ArrowDown")
    return found + alerts(page)


def caption(page: Page, info: dict[str, Any], is_canned: bool) -> Found:
    found = []
    page.locator("input[type=file]").set_input_files({"name": "red.png", "mimeType": "image/png", "buffer": PICTURE})
    expect(page.locator(".film button").first).to_be_visible(timeout=20000)
    draw(page)
    page.wait_for_timeout(900)
    if is_canned and page.locator("p.translation").inner_text() != f"a round {EVIL}":
        found.append(f"the caption is {page.locator('p.translation').inner_text()!r}")
    page.locator(".film button").first.click()
    expect(page.locator(".heat canvas").nth(1)).to_be_visible()
    return found + alerts(page)


def forecast(page: Page, info: dict[str, Any], is_canned: bool) -> Found:
    found = []
    expect(page.locator(".chart .mean")).to_be_visible(timeout=20000)
    before = page.locator(".chart .mean").get_attribute("d")
    point = page.locator(".chart g[role=slider]").last
    point.focus()
    for _ in range(4):
        point.press("ArrowUp")
    expect(page.locator(".chart .moved")).to_have_count(1)
    expect(page.locator(".chart .before")).to_be_visible(timeout=10000)
    if page.locator(".chart .mean").get_attribute("d") == before:
        found.append("the forecast does not follow the arrow keys")
    page.get_by_role("button", name="As it was").click()
    expect(page.locator(".chart .moved")).to_have_count(0)
    handle = page.locator(".chart g[role=slider] .point").nth(-5)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + 4, box["y"] - 60, steps=8)
    page.mouse.up()
    expect(page.locator(".chart .moved")).to_have_count(1)
    if page.evaluate("navigator.maxTouchPoints"):
        page.get_by_role("button", name="As it was").click()
        expect(page.locator(".chart .moved")).to_have_count(0)
        drag_with_a_finger(page, page.locator(".chart g[role=slider] .reach").nth(-3), -70)
        expect(page.locator(".chart .moved")).to_have_count(1)
    page.get_by_role("button", name="Suppose a next value").click()
    expect(page.locator(".chart .moved")).to_have_count(2)
    page.wait_for_timeout(300)
    return found + alerts(page)


def drag_with_a_finger(page: Page, handle: Locator, by: float) -> None:
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for part in range(1, 9):
        finger.send(
            "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y + by * part / 8}]}
        )
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def alerts(page: Page) -> Found:
    return [f"says: {text}" for text in page.locator("[role=alert]").all_inner_texts() if text.strip()]


TASKS: dict[str, Callable[[Page, dict[str, Any], bool], Found]] = {
    "lm": language, "classify": classify, "tag": tag, "translate": translate, "caption": caption, "forecast": forecast,
}  # fmt: skip


# with canned answers


def new_page(browser: Browser, **how: Any) -> Page:
    page = browser.new_page(**how)
    page.set_default_timeout(8_000)
    return page


def asks_for_a_token(browser: Browser, serving: Any) -> Found:
    found: Found = []
    with serving(Stub(token="s3same")) as (_, address):
        page = new_page(browser)
        page.goto(address)
        page.get_by_role("textbox", name="Token").fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("does not know that token")).to_be_visible()
        page.get_by_role("textbox", name="Token").fill("s3same")
        page.keyboard.press("Enter")
        page.get_by_role("heading", level=1, name="letters").wait_for()
        if page.evaluate("JSON.stringify(localStorage)").find("s3same") >= 0:
            found.append("the token is kept beyond the tab")
        page.reload()
        page.get_by_role("heading", level=1, name="letters").wait_for()
        page.get_by_text("How to call this").click()
        page.get_by_role("button", name="Only read it").click()
        expect(page.locator(".called pre")).to_contain_text("$OSTINATO_TOKEN")
        if "s3same" in page.content():
            found.append("the token is shown in the page")
        page.close()
    return found


def tells_errors_in_words(browser: Browser, serving: Any) -> Found:
    found: Found = []
    with serving(Stub()) as (stub, address):
        page = new_page(browser)
        page.goto(f"{address}#mirror")
        expect(page.get_by_text("The best answers")).to_be_visible()
        stub.refusing = (429, "too many requests wait: 100 of 100")
        page.get_by_role("button", name="Translate").click()
        expect(page.get_by_role("alert")).to_contain_text("Too many requests wait: 100 of 100. Try again in 3 seconds.")
        page.goto(f"{address}#letters")
        page.get_by_role("button", name="Write").wait_for()
        page.get_by_role("button", name="Only read it").click()
        expect(page.locator(".paper span")).to_have_count(15)
        stub.held.clear()  # as after a restart that lost it
        page.get_by_label("Words of your own").fill("bee")
        page.get_by_role("button", name="Only read it").click()
        expect(page.locator(".paper span")).to_have_count(18)
        (held,) = stub.held.values()
        if "".join(held.read) != "the <b>sea</b>\nbee":
            found.append(f"a session that ended is read again wrongly: {''.join(held.read)!r}")
        found += alerts(page)
        page.close()
    return found


def forks_from_marks(browser: Browser, serving: Any) -> Found:
    """After a fork the new session has read exactly the text before the place, and most of it by a mark."""
    found: Found = []
    with serving(Stub()) as (stub, address):
        page = new_page(browser)
        page.goto(address)
        page.get_by_role("button", name="Write").click()
        expect(page.get_by_role("button", name="Write")).to_be_enabled(timeout=20000)
        expect(page.locator(".paper span")).to_have_count(315)
        (held,) = stub.held.values()
        page.locator(".paper").focus()
        page.locator(".paper span").nth(200).click()
        page.get_by_role("button", name="Fork here").click()
        expect(page.locator(".paper span")).to_have_count(200)
        old, new = stub.held.values()
        if new.read != old.read[:200]:
            found.append("the fork has another past")
        if not any(path.endswith("/fork") for _, path in stub.asked):
            found.append("the text was read again although there were marks")
        if new.marks != {name: at for name, at in held.marks.items() if at <= 200}:
            found.append(f"marks of the fork: {new.marks}")
        page.close()
    return found


def stops_where_it_is(browser: Browser, serving: Any) -> Found:
    """After a stop the session that goes on has read exactly what is seen, whatever the server has written beyond."""
    found: Found = []
    with serving(Stub(pause=0.01)) as (stub, address):
        page = new_page(browser)
        page.goto(address)
        page.get_by_role("button", name="Write").click()
        page.locator(".paper span").nth(100).wait_for()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Write")).to_be_enabled(timeout=20000)
        page.locator(".bars button").first.click()
        page.wait_for_timeout(300)
        shown = page.evaluate("[...document.querySelectorAll('.paper span')].map((e) => e.textContent).join('')")
        if "".join(list(stub.held.values())[-1].read) != shown:
            found.append("the session has read another text than is seen")
        page.close()
    return found


def choose_colours(browser: Browser, serving: Any) -> Found:
    found: Found = []
    with serving(Stub()) as (_, address):
        page = new_page(browser, color_scheme="light")
        page.goto(address)
        page.get_by_role("radio", name="Dark").check(force=True)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.reload()
        page.get_by_role("heading", level=1).wait_for()
        if page.evaluate("getComputedStyle(document.body).backgroundColor") != dark:
            found.append("the colours that were chosen are forgotten")
        page.get_by_role("radio", name="As the system").check(force=True)
        if page.evaluate("getComputedStyle(document.body).backgroundColor") == dark:
            found.append("the system's colours do not come back")
        page.close()
    return found


def pasted_and_dropped(browser: Browser, serving: Any) -> Found:
    """A picture comes in by every way that there is."""
    found: Found = []
    give = """([bytes, kind]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "red.png", { type: "image/png" }));
      const at = kind === "paste" ? document : document.querySelector(".drop");
      const Event = kind === "paste" ? ClipboardEvent : DragEvent;
      const name = kind === "paste" ? "clipboardData" : "dataTransfer";
      at.dispatchEvent(new Event(kind, { [name]: data, bubbles: true, cancelable: true }));
    }"""
    with serving(Stub()) as (_, address):
        for kind in ("paste", "drop"):
            page = new_page(browser)
            page.goto(f"{address}#looker")
            page.locator(".pad").wait_for()
            page.evaluate(give, [list(PICTURE), kind])
            expect(page.locator(".film button")).to_have_count(3)
            page.close()
        page = new_page(browser)
        page.goto(f"{address}#looker")
        page.locator("input[type=file]").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"none"})
        expect(page.get_by_role("alert").first).to_contain_text("cannot read a.txt")
        page.locator(".pad").focus()
        for key in (" ", "ArrowDown", " ", "ArrowDown", " "):
            page.keyboard.press(key)
        expect(page.locator(".film button")).to_have_count(3)
        page.close()
    return found


def ends_its_sessions(browser: Browser, serving: Any) -> Found:
    with serving(Stub()) as (stub, address):
        page = new_page(browser)
        page.goto(f"{address}#code")
        expect(page.locator(".legend li").first).to_be_visible()
        page.get_by_role("link", name="mirror").click()
        expect(page.get_by_text("The best answers")).to_be_visible()
        page.wait_for_timeout(200)
        found = [f"{len(stub.held)} sessions are left behind"] if stub.held else []
        page.close()
    return found


CANNED: tuple[Callable[[Browser, Any], Found], ...] = (
    asks_for_a_token, tells_errors_in_words, forks_from_marks, stops_where_it_is, choose_colours, pasted_and_dropped,
    ends_its_sessions,
)  # fmt: skip
