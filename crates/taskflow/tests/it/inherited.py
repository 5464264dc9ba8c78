"""The earlier service's own API tests, from a client of that time.

Run by inherited.rs: inherited.py URL KEY. Deliberately plain: requests, asserts, nothing of this project.
"""

import sys

import requests

URL, KEY = sys.argv[1], sys.argv[2]
API = f"{URL}/api/v1"
session = requests.Session()
session.headers["X-API-Key"] = KEY


def create(**fields):
    response = session.post(f"{API}/tasks", json={"title": "A task", **fields}, timeout=10)
    assert response.status_code == 201, response.text
    return response.json()


def test_health():
    response = requests.get(f"{API}/health", timeout=10)
    assert response.status_code == 200
    assert response.json()["status"] == "healthy"
    assert {"version", "timestamp"} <= response.json().keys()


def test_create():
    task = create(title="Test task", description="A description", priority="high")
    assert task["title"] == "Test task"
    assert task["description"] == "A description"
    assert task["priority"] == "high"
    assert task["status"] == "pending"
    assert isinstance(task["id"], int)
    for field in ("created_at", "updated_at", "completed_at", "result", "error_message"):
        assert field in task, field


def test_get():
    task = create()
    response = session.get(f"{API}/tasks/{task['id']}", timeout=10)
    assert response.status_code == 200
    assert response.json() == task


def test_get_unknown():
    response = session.get(f"{API}/tasks/99999", timeout=10)
    assert response.status_code == 404
    assert isinstance(response.json()["detail"], str)


def test_list():
    before = len(session.get(f"{API}/tasks", timeout=10).json())
    tasks = [create(title=f"Task {i}") for i in range(3)]
    response = session.get(f"{API}/tasks", params={"skip": 0, "limit": 100}, timeout=10)
    assert response.status_code == 200
    listed = response.json()
    assert len(listed) == before + 3
    assert [task["id"] for task in listed[:3]] == [task["id"] for task in reversed(tasks)]


def test_update():
    task = create(title="Old")
    change = {"title": "New", "priority": "urgent", "status": "in_progress"}
    response = session.put(f"{API}/tasks/{task['id']}", json=change, timeout=10)
    assert response.status_code == 200
    assert {key: response.json()[key] for key in change} == change


def test_delete():
    url = f"{API}/tasks/{create()['id']}"
    assert session.delete(url, timeout=10).status_code == 204
    assert session.get(url, timeout=10).status_code == 404


def test_statistics():
    response = session.get(f"{API}/tasks/stats/summary", timeout=10)
    assert response.status_code == 200
    keys = {"pending", "in_progress", "completed", "failed", "cancelled"}
    assert response.json().keys() == keys
    assert all(isinstance(response.json()[key], int) for key in keys)


def test_a_key_is_asked_for():
    assert requests.get(f"{API}/tasks", timeout=10).status_code == 401
    assert requests.get(f"{API}/tasks", headers={"X-API-Key": "wrong"}, timeout=10).status_code == 401


tests = [run for name, run in list(globals().items()) if name.startswith("test_")]
for run in tests:
    run()
print(f"{len(tests)} passed")
