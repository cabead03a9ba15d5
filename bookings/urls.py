from django.urls import path

from bookings import private_views, staff_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("cover.jpg", views.cover, name="cover"),
    path("book/<slug:slug>/", views.session_type, name="session_type"),
    path("book/<slug:slug>/hold", views.hold, name="hold"),
    path("hold/<str:public_id>/", views.details, name="booking_details"),
    path("hold/<str:public_id>/release", views.release, name="booking_release"),
    path("booking/<str:public_id>/", private_views.booking, name="booking"),
    path("booking/<str:public_id>/pay", private_views.pay, name="booking_pay"),
    path("booking/<str:public_id>/move", private_views.move, name="booking_move"),
    path("booking/<str:public_id>/cancel", private_views.cancel, name="booking_cancel"),
    path("booking/<str:public_id>/sitter", private_views.sitter, name="booking_sitter"),
    path("booking/<str:public_id>/nerves", private_views.nerves, name="booking_nerves"),
    path("booking/<str:public_id>/consents", private_views.consents, name="booking_consents"),
    path("booking/<str:public_id>/session.ics", private_views.calendar_file, name="booking_ics"),
    path("webhooks/stripe", views.stripe_webhook, name="stripe_webhook"),
    path("desk/bookings/", staff_views.bookings, name="desk_bookings"),
    path("desk/bookings/<str:public_id>/", staff_views.booking, name="desk_booking"),
    path("desk/bookings/<str:public_id>/cancel", staff_views.cancel, name="desk_booking_cancel"),
    path("desk/bookings/<str:public_id>/payment", staff_views.payment, name="desk_booking_payment"),
    path("desk/bookings/<str:public_id>/decide", staff_views.decide, name="desk_booking_decide"),
    path("desk/shoots/<str:public_id>/<str:verb>", staff_views.shoot_verb, name="desk_shoot"),
    path("desk/shoots/<str:public_id>/nerves/", staff_views.nerves, name="desk_nerves"),
]
