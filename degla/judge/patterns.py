"""Patterns of English that the facts look for: what holds in either order, what belongs to a noun, what is out of order.

Regular expressions in DuckDB's dialect (RE2), put into `macros.sql`.
"""

from __future__ import annotations

_DETERMINERS = "a|an|the|his|her|its|their|some|another|other|this|that"
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "many", "several", "few", "both"]

# Relations that hold both ways, in three kinds: what follows one verb of any kind (a dog sleeps beside a cat), what
# follows a verb that two do together, and such verbs themselves.
_BESIDE = (
    "near|nearby|beside|besides|next to|alongside|close to|adjacent to|opposite|far from|far away from|away from|across from"
    "|on the side of|at the side of"
    "|side by side with|along with|together with|not far from|right next to|directly next to|in line with|parallel to"
    "|(?:just |right |directly )?across the (?:street|road|table|room|way|aisle|river|field) from|as well as"
    "|\\w+ (?:to|in|by|and) \\w+ with"  # arm in arm with, back to back with
)
_WITH = "with|by"
_IN_A_PLACE = (
    "(?:on|in|at|behind|under|along|across|through|by|near|inside|outside|down|up|around|over|beneath|above|on top of"
    f"|in front of) (?:(?:{_DETERMINERS}) )?(?:\\w+ ){{1,3}}"
)
_JOINED = "and|or|&|,|, and|and also|plus"
_CLAUSES = "while|whereas|as|but|and"
_POSTURES = (
    "sits?|sitting|sat|seated|stands?|standing|stood|lies|lie|lays?|laying|lying|rests?|resting|parked|walks?|walking|waits?"
    "|waiting|sleeps?|sleeping|naps?|napping|poses?|posing|posed|placed|kneels?|kneeling|hangs? out|hanging out"
)
_GOING = "(?:run|stroll|march|jog|hik|wander|wad|swim|fly|graz|eat|drink|play|danc)(?:es|e|s|ing|ning|ming)?"
_SHOWN = "seen|shown|pictured|photographed|displayed|arranged|grouped|served|paired"
_TOGETHER = (
    "(?:talk|speak|chat|danc|convers|argu|fight|wrestl|rac|compet|perform|jok|laugh|cuddl|snuggl|hang|interact|collid|meet"
    "|mingl|visit|gather|din|marry|flirt|box|spar|play catch|play tennis|play chess)(?:es|e|s|ing|ed|ting|ring)? "
    "(?:together )?(?:to|with|against|alongside)"
    "|(?:hug|embrac|kiss|fac|touch|meet|nuzzl|resembl|match|overlap)(?:es|e|s|ing|ed|ging|ged|ping)?"
    "|touch(?:es|ing)? (?:noses|heads|hands|beaks|trunks) with|hold(?:s|ing)? hands with|shak(?:e|es|ing) hands with"
    "|play(?:s|ing|ed)? (?:\\w+ )?(?:with|against)|greet(?:s|ing)?|(?:trad|exchang)(?:es|ing) \\w+ with"
    "|(?:married|engaged|similar|identical|connected|joined|linked|next door|parallel|perpendicular) (?:to|with)"
    "|(?:crash|collid|bump)(?:es|e|s|ing|ed)? into"
    "|(?:curl|snuggl|cuddl|huddl|nestl|press)(?:es|e|s|ed|ing)? (?:up )?(?:against|to|next to|with|together with)"
    "|(?:the same \\w+|as \\w+) as|look(?:s|ing)? like|shar(?:e|es|ing) a \\w+ with|mixed with|combined with"
)
_AUXILIARIES = "is|are|was|were|be|being|been|has|have|who|which|that|also|both|all|just|currently|happily|quietly|closely|right"
_SYMMETRIC = (
    f"(?:(?:{_AUXILIARIES}) )*(?:(?:\\w+ )?(?:{_BESIDE})"
    f"|(?:(?:{_POSTURES}|{_SHOWN}) )?(?:(?:up|down|together|outside|inside) )?(?:{_WITH})"
    f"|(?:{_POSTURES}|{_SHOWN}|{_GOING}) (?:(?:up|down|together|outside|inside) )?{_IN_A_PLACE}(?:{_WITH}|{_BESIDE})"
    f"|\\w+(?:ing|s) with|{_TOGETHER}|{_JOINED})"
)
BOTH_WAYS = f"(?:(?:{_DETERMINERS}) )*{_SYMMETRIC}(?: (?:{_DETERMINERS}))*"
"""What links two things and holds in either order."""

STATIC = """
is are was were be been sit sits sitting sat stand stands standing stood lie lies lying lay lays laying laid rest rests resting
park parks parked parking placed located situated
""".split()  # noqa: SIM905 (as OF_PHRASES)
"""Verbs that things have too: a chair stands beside a dog."""
FACING = f"(?:(?:{'|'.join(STATIC)}) )*(?:right |directly )?in front of(?: (?:{_DETERMINERS}))*"
"""What links somebody and a thing in either order, since he turns to it or it has no front: people in front of a building."""

JOINING_CLAUSES = f"(?:, )?(?:{_CLAUSES})(?: (?:{_DETERMINERS}))?"
"""What links two clauses that may stand in either order."""

# What follows a noun and belongs to it alone, so that it tells the noun from the one before.
BELONGING = (
    r"^(?:with|wearing|holding|carrying|who|that|which|whose|dressed|covered|made|full|filled|of|pulling|riding|eating|drinking"
    r"|looking|reading|pushing|and \w+ing"
    r"|on (?:the|his|her|its) (?:top of )?(?:the |his |her )?(?:head|cheek|forehead|nose|lips|hand)"
    r"|(?:in|on) (?:a|an|his|her|their|the)? ?(?:\w+ ){0,2}(?:wheelchair|stroller|shirt|dress|hat|jacket"
    r"|coat|suit|skirt|uniform|tie|vest|sweater|helmet|jersey|outfit|costume|cap|leash|skateboard|bike|bicycle|horse|motorcycle"
    r"|surfboard))\b"
)

# Letters that do not stand beside each other in a sentence, unless its caption does the same: an article before a preposition,
# two nouns where there was no compound, ... (^ and $ are its ends).
_NOT_BEFORE = {"T": "PJCBT$", "P": "BJCV$", "N": "N", "A": "T", "V": "V", "B": "J$", "J": "JPB$", "C": "$"}
_NOT_BEFORE |= {"^": "JBV"}
# Nouns that are parts of expressions (on top of, a lot of, each other).
OF_PHRASES = """
top bottom front back side middle center edge end background foreground distance view kind kinds type types lot lots couple number
variety bunch pair set group row line part piece pieces each other way close
""".split()  # noqa: SIM905 (a list of literals would take a line for each)
OUT_OF_ORDER = [first + second for first, seconds in _NOT_BEFORE.items() for second in seconds]
"""Pairs of the letters of macro `order_letter`."""

MARKINGS = "stripes spots patches streaks speckles bands bars checks squares".split()  # noqa: SIM905 (as OF_PHRASES)
"""What may be the ground as well: white stripes on blue are blue stripes on white."""
