# docker build --tag lvh .
# docker run --rm --volume "$PWD:/study" --user "$(id -u):$(id -g)" lvh run data=synthetic
FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1 HOME=/home/lvh
WORKDIR /src
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes --no-deps --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY lvh lvh
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
 && useradd --uid 1000 --create-home lvh \
 && chmod 1777 /home/lvh \
 && install --directory --owner lvh /study
# with --user, another user than lvh writes its caches there
USER 1000
WORKDIR /study
ENTRYPOINT ["lvh"]
CMD ["--help"]
