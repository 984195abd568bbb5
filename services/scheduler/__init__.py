"""Decides what goes to whom, and when, or why nothing does.

consumes  orders, shipments, returns, customers, carts, engagement, customer-products (positions in PostgreSQL);
          complements, catalog, controls (followed whole, in memory)
produces  decisions, messages, hand-overs, engagement (offers accepted on the thank-you page), and controls where a guard
          stops a journey: all through the outbox
owns      the PostgreSQL schema `scheduler`: customers, due steps, published versions, codes, budgets, guards, pages
promises  every occurrence of a step gets exactly one final verdict, on the newest state, never above a cap;
          while the state may be stale, nothing is decided
does not  send: the dispatcher does, and looks at consent once more
"""
