"""The five services. They meet in topics only and never import each other; `services.cli` alone may import them all."""
