from django.utils.translation import gettext_lazy as _

from studio import desk
from studio.models import Role

desk.link("message_list", label=_("Messages"), order=90, roles=frozenset({Role.OWNER, Role.PHOTOGRAPHER}))
