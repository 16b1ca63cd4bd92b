# One image, every role by its command: web, worker, inference, beat, setup.
#
#   docker build -t gpt-store .                                   torch as the package index has it
#   docker build --build-arg TORCH=none -t gpt-store-web .        no torch: web, worker, beat only
#   docker build --build-arg TORCH_INDEX=ADDRESS -t gpt-store .   torch from another index: the
#       project's CPU index makes the image 2 GB smaller, its CUDA indexes fit a certain driver
# docker-compose.yml builds two: gpt-store from the CPU index, and gpt-store-gpu with CUDA.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS packages
ARG TORCH=default
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY requirements/base.txt requirements/ml.txt requirements/
RUN pip install -r requirements/base.txt
# torch first and alone, so that its index serves nothing else
RUN if [ "$TORCH" != none ]; then \
      pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' requirements/ml.txt)" \
      && pip install -r requirements/ml.txt; \
    fi

FROM python:${PYTHON}
# The number is fixed: volumes and the reverse proxy refer to it.
RUN groupadd --gid 10001 store \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin store \
    && install -d -o store -g store -m 0750 /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STORE_DATA_DIR=/data \
    STORE_HOST=0.0.0.0 \
    STORE_LOG_FORMAT=json
USER store
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["gunicorn", "--config=python:store.supervise.gunicorn_conf", "store.wsgi:application"]
