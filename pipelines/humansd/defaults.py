"""HumanSD's published settings, and the numbers of its networks."""

ADDED_PROMPT = "detailed background, best quality, extremely detailed"
NEGATIVE_PROMPT = (
    "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits, cropped, "
    "worst quality, low quality"
)
STEPS = 50
GUIDANCE = 10.0
SIZE = 512  # the short side HumanSD was trained at
MULTIPLE = 64  # sides of a canvas are multiples of this
LATENT_SCALE = 0.18215
LATENT_CHANNELS = 4
SCHEDULES = ("full", "legacy_49")
