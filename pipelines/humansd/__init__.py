"""HumanSD: skeleton-guided text-to-image for people, on SD2.1."""
