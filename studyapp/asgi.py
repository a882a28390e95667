"""The ASGI application: pages over HTTP, nudges over websockets."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")

import django

django.setup(set_prefix=False)

# With the process, not when somebody waits for their seat to be drawn.
import scipy.optimize  # noqa: E402, F401
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from studyapp.bridge import pages  # noqa: E402
from studyapp.sockets import ends_in_time, websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": pages(),
        "websocket": ends_in_time(AllowedHostsOriginValidator(URLRouter(websocket_urlpatterns))),
    }
)
