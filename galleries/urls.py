from django.urls import URLPattern, URLResolver, path, re_path

from galleries import (
    afterwards_views,
    card_views,
    choosing_views,
    crop_views,
    cull_views,
    delivery_views,
    finishing_views,
    moving_views,
    pictures,
    promise_views,
    retouch_views,
    staff_views,
    together_views,
    tus,
    views,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("picture/<str:signed>", pictures.picture, name="picture"),
    path("uploads/", tus.uploads, name="uploads"),
    path("uploads/<str:public_id>", tus.upload, name="upload"),
    path("gallery/<str:public_id>/", views.gallery, name="gallery"),
    path("gallery/<str:public_id>/file/<int:file_id>", views.gallery_file, name="gallery_file"),
    path("gallery/<str:public_id>/zip/<slug:size>", views.gallery_zip, name="gallery_zip"),
    path("gallery/<str:public_id>/elsewhere", views.gallery_elsewhere, name="gallery_elsewhere"),
    path("gallery/<str:public_id>/checksums", views.checksums, name="gallery_checksums"),
    path("gallery/<str:public_id>/unlock", views.gallery_unlock, name="gallery_unlock"),
    path("gallery/<str:public_id>/keep", views.gallery_keep, name="gallery_keep"),
    path("desk/galleries/<str:public_id>/", staff_views.desk_gallery, name="desk_gallery"),
    path("desk/galleries/<str:public_id>/uploads", staff_views.gallery_uploads, name="gallery_uploads"),
    path("desk/galleries/<str:public_id>/news", staff_views.gallery_news, name="gallery_news"),
    path("desk/galleries/<str:public_id>/add", staff_views.gallery_add, name="gallery_add"),
    path("desk/jobs/<int:pk>/retry", staff_views.retry_job, name="retry_job"),
    path("desk/promises/", promise_views.board, name="promise_board"),
    path("desk/galleries/<str:public_id>/deliver", promise_views.deliver, name="deliver"),
    path("desk/breaches/<int:pk>/cause", promise_views.breach_cause, name="breach_cause"),
    path("desk/breaches/<int:pk>/policy", promise_views.breach_policy, name="breach_policy"),
    path("desk/promises/missed.csv", promise_views.breaches_csv, name="breaches_csv"),
    path("desk/galleries/<str:public_id>/assign", delivery_views.assign, name="gallery_assign"),
    path(
        "desk/galleries/<str:public_id>/delivery/", delivery_views.gallery_delivery, name="gallery_delivery"
    ),
    path(
        "desk/galleries/<str:public_id>/links/<int:pk>/revoke",
        delivery_views.link_revoke,
        name="gallery_link_revoke",
    ),
    path("gallery/<str:public_id>/licence.pdf", afterwards_views.gallery_licence, name="gallery_licence"),
    path(
        "gallery/<str:public_id>/year-later", afterwards_views.gallery_year_later, name="gallery_year_later"
    ),
    path("reminders/<str:signed>/", afterwards_views.no_more_reminders, name="no_more_reminders"),
    path("desk/galleries/<str:public_id>/share", afterwards_views.gallery_share, name="gallery_share"),
    path(
        "desk/galleries/<str:public_id>/links/<int:pk>/pin",
        afterwards_views.link_pin,
        name="gallery_link_pin",
    ),
    path(
        "desk/galleries/<str:public_id>/bring-back",
        afterwards_views.gallery_bring_back,
        name="gallery_bring_back",
    ),
    path("desk/galleries/<str:public_id>/pin", delivery_views.gallery_pin, name="gallery_pin"),
    path("desk/galleries/<str:public_id>/renew", delivery_views.gallery_renew, name="gallery_renew"),
    # choosing at home
    path("gallery/<str:public_id>/proof/<int:number>/", choosing_views.proof, name="gallery_proof"),
    path("gallery/<str:public_id>/choose", choosing_views.choose, name="gallery_choose"),
    path("gallery/<str:public_id>/review/", choosing_views.review, name="gallery_review"),
    path("gallery/<str:public_id>/submit", choosing_views.submit, name="gallery_submit"),
    path(
        "gallery/<str:public_id>/retouch/<str:retouch_id>/approve",
        choosing_views.approve_look,
        name="gallery_approve",
    ),
    path(
        "gallery/<str:public_id>/retouch/<str:retouch_id>/change/",
        choosing_views.change,
        name="gallery_change",
    ),
    path(
        "gallery/<str:public_id>/retouch/<str:retouch_id>/pay",
        choosing_views.pay_change,
        name="gallery_pay_change",
    ),
    path(
        "gallery/<str:public_id>/retouch/<str:retouch_id>/ask",
        choosing_views.ask_change,
        name="gallery_ask_change",
    ),
    # choosing together
    path("desk/galleries/<str:public_id>/choose/", together_views.choose_together, name="choose_together"),
    path("desk/galleries/<str:public_id>/choose/strip", together_views.choose_strip, name="choose_strip"),
    path("desk/galleries/<str:public_id>/choose/mark", together_views.choose_mark, name="choose_mark"),
    path("desk/galleries/<str:public_id>/choose/review/", together_views.choose_review, name="choose_review"),
    path("desk/galleries/<str:public_id>/choose/submit", together_views.choose_submit, name="choose_submit"),
    path("desk/galleries/<str:public_id>/choose/publish", together_views.publish, name="publish_proofs"),
    path("desk/galleries/<str:public_id>/choose/reopen", together_views.reopen, name="reopen_selection"),
    re_path(
        r"^desk/galleries/(?P<public_id>[^/]+)/selection\.(?P<kind>txt|csv|xmp)$",
        together_views.selection,
        name="selection",
    ),
    # a frame in the wrong booking
    path("desk/galleries/<str:public_id>/wrong/", moving_views.wrong_booking, name="wrong_booking"),
    path("desk/galleries/<str:public_id>/wrong/move", moving_views.frames_move, name="frames_move"),
    path("desk/galleries/<str:public_id>/wrong/hide", moving_views.leak_hide, name="leak_hide"),
    path("desk/leaks/<str:public_id>/", moving_views.leak, name="leak"),
    path("desk/leaks/<str:public_id>/do", moving_views.leak_do, name="leak_do"),
    # a whole card, its tray, slates and clocks
    path("desk/cards/", card_views.card_list, name="cards"),
    path("desk/cards/new", card_views.card_new, name="card_new"),
    path("desk/cards/<str:public_id>/", card_views.card, name="card"),
    path("desk/cards/<str:public_id>/uploads", card_views.card_uploads, name="card_uploads"),
    path("desk/cards/<str:public_id>/news", card_views.card_news, name="card_news"),
    path("desk/cards/<str:public_id>/expect", card_views.card_expect, name="card_expect"),
    path("desk/cards/<str:public_id>/close", card_views.card_close, name="card_close"),
    path("desk/cards/<str:public_id>/add", card_views.card_add, name="card_add"),
    path("desk/tray/", card_views.frame_tray, name="frame_tray"),
    path("desk/tray/assign", card_views.tray_assign, name="tray_assign"),
    path("desk/tray/<str:public_id>/picture", card_views.tray_picture, name="tray_picture"),
    path("desk/slates/", card_views.slates, name="slates"),
    path("desk/slates/<str:public_id>/", card_views.slate, name="slate"),
    path("desk/clock/", card_views.clock_page, name="clock_page"),
    path("desk/clock/now", card_views.clock_now, name="clock_now"),
    path("desk/clock/set", card_views.clock_type, name="clock_type"),
    # culling
    path("desk/galleries/<str:public_id>/cull/", cull_views.cull, name="cull"),
    path("desk/galleries/<str:public_id>/cull/strip", cull_views.cull_strip, name="cull_strip"),
    path("desk/galleries/<str:public_id>/cull/mark", cull_views.cull_mark, name="cull_mark"),
    path("desk/galleries/<str:public_id>/cull/loupe", cull_views.cull_loupe, name="cull_loupe"),
    path("desk/galleries/<str:public_id>/cull/look", cull_views.cull_look, name="cull_look"),
    # retouching
    path(
        "desk/galleries/<str:public_id>/retouching/", finishing_views.retouch_session, name="retouch_session"
    ),
    path(
        "desk/galleries/<str:public_id>/retouching/news", finishing_views.finished_news, name="finished_news"
    ),
    path("desk/galleries/<str:public_id>/retouching/add", finishing_views.finished_add, name="finished_add"),
    path(
        "desk/galleries/<str:public_id>/retouching/view", finishing_views.finished_view, name="finished_view"
    ),
    path(
        "desk/galleries/<str:public_id>/retouching/place",
        finishing_views.finished_place,
        name="finished_place",
    ),
    path(
        "desk/galleries/<str:public_id>/retouching/drafts",
        finishing_views.session_drafts,
        name="session_drafts",
    ),
    path("desk/retouching/", retouch_views.retouch_queue, name="retouch_queue"),
    path("desk/retouching/<str:public_id>/", retouch_views.desk_retouch, name="desk_retouch"),
    path("desk/retouching/<str:public_id>/crop/", crop_views.crop, name="crop"),
    path("desk/retouching/<str:public_id>/crop/place", crop_views.crop_place, name="crop_place"),
    path("desk/retouching/<str:public_id>/crop/save", crop_views.crop_save, name="crop_save"),
    path("desk/retouching/<str:public_id>/news", retouch_views.retouch_news, name="retouch_news"),
    path("desk/retouching/<str:public_id>/preview", retouch_views.retouch_preview, name="retouch_preview"),
    path("desk/retouching/<str:public_id>/hand-in", retouch_views.hand_in, name="retouch_hand_in"),
    path("desk/retouching/<str:public_id>/do/<slug:deed>", retouch_views.retouch_do, name="retouch_do"),
]
