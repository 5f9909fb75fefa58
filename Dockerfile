# syntax=docker/dockerfile:1
# Three images of one file: data (ingest, validate, render), train (training to registration; torch with CUDA) and
# serve (TorchServe and its Java). `make images` builds them, `make push REGISTRY=…` releases them.
#
# BASE is resolved to its digest by tools/images.sh, which also writes it into a label. Any image with Python 3.11 or
# 3.12 as `python3`, its venv module and certificates does; `make base` makes one where no registry is reached.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
# Which torch the train image has: cuda, or cpu, of which all but its own tools is then one layer with the others.
ARG TRAIN_TORCH=cuda

# --- tools: what makes an environment; nothing of these stages but the environments is shipped -----------
FROM ${BASE} AS tools
# The system's certificates, so that a proxy's own can be mounted for the build.
ENV UV_NATIVE_TLS=1 UV_NO_CACHE=1 UV_PYTHON=/opt/venv/bin/python
RUN python3 -m venv /opt/tools && /opt/tools/bin/pip install --quiet --no-cache-dir uv==0.13.9 \
    && python3 -m venv --without-pip /opt/venv
# Nobody may write into an image: without its bytecode every container would compile torch and mlflow anew, which takes
# longer than to start. Templates among the packages are no Python and are passed over.
RUN printf '%s\n' '#!/bin/sh' 'python3 -m compileall -qq -j 0 -x "/tests?/" --invalidation-mode unchecked-hash "$@" || true' \
        >/usr/local/bin/bytecode && chmod +x /usr/local/bin/bytecode
COPY requirements.txt pyproject.toml /src/

# torch from TORCH_INDEX: the CPU's build, a tenth of the size of the one for CUDA.
FROM tools AS env-cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN /opt/tools/bin/uv pip install --quiet --index ${TORCH_INDEX} --index-strategy unsafe-best-match \
        --constraint /src/requirements.txt --requirements /src/pyproject.toml --extra cluster \
    && bytecode /opt/venv/lib

# torch with CUDA, as the package index has it for Linux.
FROM tools AS env-cuda
RUN /opt/tools/bin/uv pip install --quiet --constraint /src/requirements.txt --requirements /src/pyproject.toml \
        --extra cluster \
    && bytecode /opt/venv/lib

# What an image has beyond those goes into a layer of its own: the files that came after a mark.
FROM env-cpu AS more-data
RUN touch /opt/mark && sleep 1 \
    && /opt/tools/bin/uv pip install --quiet --constraint /src/requirements.txt --requirements /src/pyproject.toml \
        --extra cluster --extra data \
    && mkdir /opt/more && cd /opt/venv && find . -cnewer /opt/mark ! -type d -print0 | xargs -0 cp -a --parents -t /opt/more \
    && bytecode -s /opt/more -p /opt/venv /opt/more/lib

FROM env-cpu AS more-serve
RUN touch /opt/mark && sleep 1 \
    && /opt/tools/bin/uv pip install --quiet --constraint /src/requirements.txt --requirements /src/pyproject.toml \
        --extra cluster --extra serve \
    && mkdir /opt/more && cd /opt/venv && find . -cnewer /opt/mark ! -type d -print0 | xargs -0 cp -a --parents -t /opt/more \
    && bytecode -s /opt/more -p /opt/venv /opt/more/lib

# Archives for TorchServe are made in the train image too.
FROM env-${TRAIN_TORCH} AS more-train
RUN touch /opt/mark && sleep 1 \
    && /opt/tools/bin/uv pip install --quiet --constraint /src/requirements.txt --requirements /src/pyproject.toml \
        --extra cluster --extra serve --extra data \
    && mkdir /opt/more && cd /opt/venv && find . -cnewer /opt/mark ! -type d -print0 | xargs -0 cp -a --parents -t /opt/more \
    && bytecode -s /opt/more -p /opt/venv /opt/more/lib

# --- what is shipped: an environment and our code, both owned by root and not writable -----------------
FROM ${BASE} AS base
ARG BASE
LABEL org.opencontainers.image.title="vizecgnet" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}"
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 HOME=/tmp \
    GX_ANALYTICS_ENABLED=false MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false NUMBA_CACHE_DIR=/tmp/numba
# A user who is not root; the base's own installer, and what would bring it back, have nothing to do here.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin vizecg \
    && rm -rf /usr/share/python-wheels /usr/local/bin/pip* \
    && python3 -c 'import shutil, site, sysconfig; [shutil.rmtree(f"{folder}/{name}", ignore_errors=True) for folder in [sysconfig.get_path("stdlib"), *site.getsitepackages()] for name in ("pip", "setuptools", "wheel", "ensurepip")]'
WORKDIR /work

FROM base AS cpu
COPY --from=env-cpu /opt/venv /opt/venv

FROM base AS cuda
COPY --from=env-cuda /opt/venv /opt/venv

FROM base AS code
COPY ecg /app/ecg
COPY model /app/model
COPY serving /app/serving
COPY components /app/components
COPY recipes /app/recipes
COPY tools/sbom.py /app/tools/sbom.py
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app

# What a commit changes comes last, so that nodes which have an older release pull our code alone.
FROM cpu AS data
COPY --from=more-data /opt/more /opt/venv
COPY --from=code /app /app
RUN python /app/tools/sbom.py /app/sbom.cdx.json
ARG VERSION=0.0.0
ARG VIZECG_COMMIT=unknown
ARG VIZECG_IMAGE=none
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${VIZECG_COMMIT}"
ENV VIZECG_COMMIT=${VIZECG_COMMIT} VIZECG_IMAGE=${VIZECG_IMAGE}
USER 10001

FROM cpu AS serve
COPY --from=more-serve /opt/more /opt/venv
COPY --from=code /app /app
RUN python /app/tools/sbom.py /app/sbom.cdx.json
ARG VERSION=0.0.0
ARG VIZECG_COMMIT=unknown
ARG VIZECG_IMAGE=none
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${VIZECG_COMMIT}"
ENV VIZECG_COMMIT=${VIZECG_COMMIT} VIZECG_IMAGE=${VIZECG_IMAGE}
USER 10001

FROM ${TRAIN_TORCH} AS train
COPY --from=more-train /opt/more /opt/venv
COPY --from=code /app /app
RUN python /app/tools/sbom.py /app/sbom.cdx.json
ARG VERSION=0.0.0
ARG VIZECG_COMMIT=unknown
ARG VIZECG_IMAGE=none
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${VIZECG_COMMIT}"
ENV VIZECG_COMMIT=${VIZECG_COMMIT} VIZECG_IMAGE=${VIZECG_IMAGE}
USER 10001
