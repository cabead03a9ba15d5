"""The whole site. Upper apps are included by string: studio imports none of them."""

from django.contrib import admin
from django.urls import include, path

from studio import views, wording_views

handler500 = "studio.views.server_error"

urlpatterns = [
    path("", include("bookings.urls")),
    path("", include("galleries.urls")),
    path("open/<str:token>", views.open_link, name="open_link"),
    path("links/", views.ask_for_link, name="ask_for_link"),
    path("desk/", views.desk_home, name="desk"),
    path("desk/worker.js", views.desk_worker, name="desk_worker"),
    path("desk/messages/", views.message_list, name="message_list"),
    path("desk/words/", wording_views.word_list, name="word_list"),
    path("desk/words/<slug:name>/", wording_views.words, name="words"),
    path("desk/words/<slug:name>/preview", wording_views.words_preview, name="words_preview"),
    path("desk/messages/<str:public_id>/by-hand", wording_views.text_sent, name="text_sent"),
    path("desk/messages/<str:public_id>/", views.message_detail, name="message_detail"),
    path("desk/messages/<str:public_id>/html", views.message_html, name="message_html"),
    path("desk/messages/<str:public_id>/again", views.message_again, name="message_again"),
    path("healthz", views.healthz, name="healthz"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("site.webmanifest", views.manifest, name="manifest"),
    path("robots.txt", views.robots, name="robots"),
    path("accounts/", include("allauth.urls")),
    path("admin/login/", views.admin_door),
    path("admin/", admin.site.urls),
]
