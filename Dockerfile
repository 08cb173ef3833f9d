# The image of every service of ours in docker-compose.yml. For GPUs, whose torch is the one of the package index:
#   docker compose build --build-arg TORCH_INDEX=
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /source
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt pyproject.toml ./
RUN PIP_INDEX_URL="${TORCH_INDEX}" pip install "$(grep '^torch==' constraints.txt)"
# Everything but our own code, so that a change of it builds in seconds.
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*project["dependencies"], *project["optional-dependencies"]["cluster"], sep="\n")' > requirements.txt \
    && pip install -c constraints.txt -r requirements.txt
COPY README.md LICENSE ./
COPY hpgan_core hpgan_core
COPY search_spaces search_spaces
COPY study study
RUN pip install --no-deps .

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/venv /opt/venv
COPY deploy/bin /usr/local/bin
COPY search_spaces /app/search_spaces
# A login shell, which KubeRay starts, has a PATH of its own. A new volume takes its owner from the folder that it covers.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp app \
    && ln -s /opt/venv/bin/ray /opt/venv/bin/study /usr/local/bin \
    && install -d -o app -g app /app/studies /app/mlartifacts /app/cache
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp/matplotlib \
    HPGAN_CACHE=/app/cache RAY_USAGE_STATS_ENABLED=0
USER 10001:10001
WORKDIR /app
ENTRYPOINT ["with-secrets"]
CMD ["study", "--help"]
