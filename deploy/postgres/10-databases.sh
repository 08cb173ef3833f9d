#!/bin/sh
# Runs once, over an empty volume: one role and one database for each application, and one role that only reads.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --quiet <<'END'
-- Nobody's statement appears in a log with a password.
SET log_statement = none;
SET log_min_error_statement = panic;
\set mlflow_password `cat /run/secrets/mlflow_db_password`
\set optuna_password `cat /run/secrets/optuna_db_password`
\set reader_password `cat /run/secrets/reader_db_password`
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE optuna LOGIN PASSWORD :'optuna_password';
CREATE ROLE reader LOGIN PASSWORD :'reader_password';
CREATE DATABASE mlflow OWNER mlflow;
-- For deploy/mlflow-passwords.yml.
CREATE DATABASE mlflow_users OWNER mlflow;
CREATE DATABASE optuna OWNER optuna;
REVOKE ALL ON DATABASE postgres, mlflow, mlflow_users, optuna FROM PUBLIC;
GRANT CONNECT ON DATABASE optuna TO reader;
\connect optuna
ALTER DEFAULT PRIVILEGES FOR ROLE optuna GRANT SELECT ON TABLES TO reader;
END
