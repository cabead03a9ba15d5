from django.urls import URLPattern, URLResolver, path

from galleries import pictures, promise_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("picture/<str:signed>", pictures.picture, name="picture"),
    path("gallery/<str:public_id>/", views.gallery, name="gallery"),
    path("gallery/<str:public_id>/file/<int:file_id>", views.gallery_file, name="gallery_file"),
    path("gallery/<str:public_id>/zip/<slug:size>", views.gallery_zip, name="gallery_zip"),
    path("gallery/<str:public_id>/elsewhere", views.gallery_elsewhere, name="gallery_elsewhere"),
    path("gallery/<str:public_id>/checksums", views.checksums, name="gallery_checksums"),
    path("desk/promises/", promise_views.board, name="promise_board"),
    path("desk/galleries/<str:public_id>/deliver", promise_views.deliver, name="deliver"),
    path("desk/breaches/<int:pk>/cause", promise_views.breach_cause, name="breach_cause"),
]
