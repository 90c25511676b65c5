"""The way in with a token: a service that other machines can reach, as its browser sees it."""
import re
import socket
import subprocess
import tempfile

from playwright.sync_api import expect

from browser import Service, ask, check_width, shoot, watched

TOKEN = "a-token-of-some-length-0123"


def own_address():
    """An address of this machine beyond loopback; without one, loopback under the same rules."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the system says from where it would be.
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def cookies(context):
    return [cookie for cookie in context.cookies() if cookie["name"] == "nl_login"]


def log_in(page, token):
    """By the keyboard alone: the field has the focus."""
    expect(page.get_by_label("Token", exact=True)).to_be_focused()
    page.keyboard.type(token)
    page.keyboard.press("Enter")


def check(browser, nl_coord, model, data):
    # Without a token nothing listens beyond this machine, and it is said what helps.
    refused = subprocess.run(
        [nl_coord, "serve", "--listen-http", "0.0.0.0:0"], capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0 and "--token FILE" in refused.stderr, refused.stderr

    with tempfile.NamedTemporaryFile("w", suffix=".token") as file:
        file.write(TOKEN + "\n")
        file.flush()
        service = Service(
            nl_coord, {"small": model}, {"train.jsonl": data + "/train.jsonl"}, host="0.0.0.0", flags=["--token", file.name])
        service.host = own_address()
        through_the_door(browser, service)


def through_the_door(browser, service):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = watched(context, "status of 401")
    # Whatever is asked for, the way leads over the login, and then on to it.
    page.goto(service.url + "#/runs?with=keep")
    expect(page.get_by_role("heading", name="Nested learning")).to_be_visible()
    assert page.url.startswith(service.url + "login"), page.url
    shoot(page, "login")
    log_in(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("that is not the token")
    expect(page.get_by_role("alert")).to_contain_text("--token")
    assert not cookies(context)
    status, error = ask(page, "GET", "experiments")
    assert status == 401 and set(error) == {"error", "field", "hint"}, error
    page.get_by_label("Token", exact=True).fill("")
    page.get_by_label("Token", exact=True).focus()
    log_in(page, TOKEN)

    # What stands for the token cannot be read by scripts, is sent by no other site's page, and is not the token.
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/runs\?with=keep"))
    [cookie] = cookies(context)
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and TOKEN not in cookie["value"], cookie
    assert page.evaluate("document.cookie") == ""

    # The page works: its lists, its events, and what it sends.
    page.get_by_role("link", name="New run").first.click()
    page.get_by_label("Name", exact=True).fill("behind-the-door")
    page.get_by_label("Base model").select_option("small")
    page.get_by_label("Training data").select_option("train.jsonl")
    page.get_by_label("Steps", exact=True).fill("3")
    page.get_by_label("Max seq length").fill("32")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("h1 .pill.completed")).to_be_visible()
    page.reload()
    expect(page.locator("h1 .pill.completed")).to_be_visible()
    # Another browser has to log in for itself.
    other = browser.new_context()
    stranger = watched(other, "status of 401")
    stranger.goto(service.url + "#/run/behind-the-door")
    expect(stranger.get_by_label("Token", exact=True)).to_be_visible()
    other.close()
    # A page of another site does not get in with this browser's cookie.
    foreign = context.request.get(service.url + "nested-learning/status", headers={"Origin": "http://elsewhere.example"})
    assert foreign.status == 403, foreign.status

    page.set_viewport_size({"width": 375, "height": 740})
    check_width(page, "the page with a button to log out")
    page.set_viewport_size({"width": 1280, "height": 900})
    # Out again, by the keyboard: what was open is not shown any more, by going back neither.
    page.get_by_role("button", name="Log out").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert not cookies(context)
    page.go_back()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert ask(page, "GET", "experiments")[0] == 401
    context.close()
