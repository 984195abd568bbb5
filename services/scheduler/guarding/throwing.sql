-- name: known_journeys
SELECT DISTINCT shop, name AS journey FROM scheduler.publications WHERE kind = 'journey';
