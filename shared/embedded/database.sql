-- Run by psql after each start: a crash between initdb and this leaves a cluster without the database.
SELECT 'CREATE DATABASE orderwake' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'orderwake')
\gexec
