"""Tasks: what operators put, what members do, and their streaks."""

from gateway.routing import get, post, put, router_of

_TASK = "/tasks/{task_id}"
_MINE = "/customers/{customer_id}"

router = router_of(
    "tasks",
    [
        put(_TASK, "member.v1.TaskService.PutTask", into="task", part="task"),
        get(_TASK, "member.v1.TaskService.GetTask"),
        get("/tasks", "member.v1.TaskService.ListTasks"),
        post(f"{_MINE}/sign-ins", "member.v1.TaskService.SignIn"),
        get(f"{_MINE}/tasks", "member.v1.TaskService.GetTasks"),
        post(f"{_MINE}/tasks/{{task_id}}/progress", "member.v1.TaskService.RecordProgress"),
        get(f"{_MINE}/task-records", "member.v1.TaskService.ListTaskRecords"),
    ],
)
