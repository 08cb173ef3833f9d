# Debian's PostgreSQL in place of the official image.
FROM debian-postgres
COPY postgres-entrypoint /usr/local/bin/docker-entrypoint
RUN ln -s /usr/lib/postgresql/17/bin/* /usr/local/bin/ 2>/dev/null; \
    install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data && \
    install -d -o postgres -g postgres -m 3777 /var/run/postgresql && mkdir /docker-entrypoint-initdb.d
ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
ENTRYPOINT ["docker-entrypoint"]
CMD ["postgres"]
