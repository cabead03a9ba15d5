"""The bells ring in the right queue."""

from celery import current_app

from galleries import tasks


def test_pixel_work_rings_in_images_and_sweeps_in_quick() -> None:
    routes = {
        task.name: current_app.amqp.router.route({}, task.name)["queue"].name
        for task in (tasks.work, tasks.sweep)
    }
    assert routes == {"galleries.tasks.work": "images", "galleries.tasks.sweep": "quick"}
