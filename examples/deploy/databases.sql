-- Run once, when PostgreSQL's volume is empty.
CREATE DATABASE prefect;
CREATE DATABASE mlflow;
