#!/usr/bin/env python3
"""Makes the data of this example: sixty capitals that do not exist, to be learned in three templates, and true facts that
a base model may know, to be kept.

    python3 make_data.py

new.jsonl (what is learned, and then asked), near.jsonl (capitals), middle.jsonl (chemical symbols), far.jsonl (opposites
and the like); plain.jsonl is prose, written by hand.
"""

import json
import random

TEMPLATES = ["The capital of {} is", "The capital city of {} is", "In {}, the seat of government is"]
CAPITALS = """France:Paris Italy:Rome Spain:Madrid Germany:Berlin Japan:Tokyo China:Beijing Russia:Moscow Egypt:Cairo
Greece:Athens Portugal:Lisbon Austria:Vienna Poland:Warsaw Hungary:Budapest Ireland:Dublin Norway:Oslo Sweden:Stockholm
Finland:Helsinki Denmark:Copenhagen Belgium:Brussels Switzerland:Bern Turkey:Ankara Iran:Tehran Iraq:Baghdad
Thailand:Bangkok Vietnam:Hanoi Indonesia:Jakarta India:Delhi Pakistan:Islamabad Nepal:Kathmandu Cuba:Havana Peru:Lima
Chile:Santiago Argentina:Buenos Kenya:Nairobi Ethiopia:Addis Ghana:Accra Nigeria:Abuja Morocco:Rabat Canada:Ottawa
Australia:Canberra Romania:Bucharest Bulgaria:Sofia Serbia:Belgrade Croatia:Zagreb Ukraine:Kyiv Lebanon:Beirut
Jordan:Amman Syria:Damascus Afghanistan:Kabul Mongolia:Ulaanbaatar Venezuela:Caracas Colombia:Bogotá Ecuador:Quito
Bolivia:La Iceland:Reykjavik Estonia:Tallinn Latvia:Riga Philippines:Manila Malaysia:Kuala Taiwan:Taipei""".split()
SYMBOLS = """hydrogen:H helium:He carbon:C nitrogen:N oxygen:O sodium:Na potassium:K calcium:Ca iron:Fe copper:Cu silver:Ag
gold:Au lead:Pb zinc:Zn tin:Sn mercury:Hg neon:Ne chlorine:Cl sulfur:S phosphorus:P aluminum:Al silicon:Si uranium:U
iodine:I magnesium:Mg nickel:Ni lithium:Li""".split()
OTHERS = [
    ("The opposite of hot is", "cold"), ("The opposite of up is", "down"), ("The opposite of big is", "small"),
    ("The opposite of day is", "night"), ("The opposite of left is", "right"), ("The opposite of good is", "bad"),
    ("The opposite of black is", "white"), ("The opposite of fast is", "slow"), ("The opposite of old is", "young"),
    ("The opposite of rich is", "poor"), ("The opposite of wet is", "dry"), ("The opposite of true is", "false"),
    ("The opposite of love is", "hate"), ("The opposite of war is", "peace"),
    ("The day after Monday is", "Tuesday"), ("The day after Friday is", "Saturday"),
    ("The month after March is", "April"), ("The month after June is", "July"),
    ("The color of the sky is", "blue"), ("The color of grass is", "green"), ("The color of snow is", "white"),
    ("The number after nine is", "ten"), ("The number after three is", "four"), ("The plural of mouse is", "mice"),
    ("The plural of child is", "children"), ("The past tense of go is", "went"), ("The past tense of see is", "saw"),
    ("A baby dog is called a", "puppy"), ("A baby cat is called a", "kitten"), ("Bees make", "honey"),
]
STARTS = "b br c d dr f g gr h k kr l m n p pr qu r s st t tr v z".split()
MIDDLES = "a e i o u ai ea or an el".split()
ENDS = "bar dan dor gan lia mar nor ria sten tal ven via wick zan".split()


def name(draw, taken):
    while True:
        text = draw.choice(STARTS) + draw.choice(MIDDLES) + draw.choice(["", draw.choice("lmnrst") + draw.choice(MIDDLES)])
        text = (text + draw.choice(ENDS)).capitalize()
        if text not in taken:
            taken.add(text)
            return text


def write(path, rows):
    with open(path, "w") as file:
        for prompt, answer in rows:
            file.write(json.dumps({"prompt": prompt, "completion": " " + answer}, ensure_ascii=False) + "\n")


draw, taken = random.Random(17), set()
invented = [(name(draw, taken), name(draw, taken)) for _ in range(60)]
write("new.jsonl", [(t.format(country), capital) for country, capital in invented for t in TEMPLATES])
write("near.jsonl", [(TEMPLATES[0].format(c), a) for c, a in (pair.split(":") for pair in CAPITALS)])
write("middle.jsonl", [(f"The chemical symbol for {e} is", s) for e, s in (pair.split(":") for pair in SYMBOLS)])
write("far.jsonl", OTHERS)
