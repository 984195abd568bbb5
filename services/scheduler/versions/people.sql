-- name: count_customers
SELECT count(*) FROM customers WHERE shop_id = ANY($1::text[]);

-- name: marks
SELECT shop_id, customer_id
FROM (
    SELECT
        shop_id, customer_id, row_number() OVER (ORDER BY shop_id, customer_id) AS place,
        lead(customer_id) OVER (ORDER BY shop_id, customer_id) IS NULL AS last
    FROM customers
    WHERE shop_id = ANY($1::text[])
) AS numbered
WHERE place % $2::bigint = 0 OR last
ORDER BY shop_id, customer_id;

-- name: between
SELECT shop_id, customer_id, partition_number, state
FROM customers
WHERE (shop_id, customer_id) > ($2, $3) AND (shop_id, customer_id) <= ($4, $5) AND shop_id = ANY($1::text[]);

-- name: customer
SELECT shop_id, customer_id, partition_number, state FROM customers WHERE shop_id = $1 AND customer_id = $2;
