"""The words of the toy language: names, roles, nouns by category, verbs by what they mean for whom."""

# A name's gender cannot be read off its letters or its place in a sentence: it has to be known.
MALE_NAMES = """
Robert James John Michael David William Richard Thomas Charles Daniel Matthew Anthony Donald Steven Paul Andrew
Joshua Kenneth Kevin Brian George Edward Ronald Timothy Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen
Larry Justin Scott Brandon Benjamin Samuel Gregory Alexander Patrick Jack Dennis Jerry Tyler Aaron Jose Adam Nathan
Henry Douglas Zachary Peter Kyle Ethan Walter Noah Jeremy Keith Christian Roger Terry Austin Sean Gerald Carl Harold
Dylan Arthur Lawrence Jordan Jesse Bryan Billy Bruce Gabriel Joe Logan Alan Juan Albert Willie Elijah Wayne Randy
Vincent Mason Roy Ralph Bobby Russell Bradley Philip Eugene Howard Simon Martin Oliver Hugo Felix Oscar Leo Max Victor
Stuart Graham Trevor Nigel Clive Derek Ivan Igor Boris Pavel Marco Luca Paolo Carlos Diego Pedro Pablo Miguel Rafael
Hans Karl Otto Fritz Klaus Jurgen Lars Sven Erik Olaf Ahmed Omar Hassan Ali Yusuf Ibrahim Kofi Kwame Hiroshi Kenji
Takeshi Ravi Arjun Vikram Sanjay Raj Liam Connor Declan Angus
""".split()

FEMALE_NAMES = """
Lucy Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Betty Sandra Margaret Ashley
Kimberly Emily Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Sharon Laura Cynthia Dorothy Amy Kathleen
Angela Shirley Emma Brenda Pamela Nicole Anna Samantha Katherine Christine Debra Rachel Carolyn Janet Maria Olivia
Heather Helen Catherine Diane Julie Victoria Joyce Lauren Kelly Christina Ruth Joan Virginia Judith Evelyn Hannah
Andrea Megan Cheryl Jacqueline Madison Teresa Abigail Sophia Martha Sara Gloria Janice Kathryn Ann Isabella Judy
Charlotte Julia Amber Alice Jean Denise Frances Danielle Marilyn Natalie Beverly Diana Brittany Theresa Kayla Alexis
Doris Lori Tiffany Clara Nora Ella Chloe Zoe Eva Ida Ingrid Astrid Greta Heidi Ursula Helga Sabine Monika Elena Irina
Olga Natasha Svetlana Tatiana Giulia Chiara Francesca Bianca Lucia Carmen Rosa Pilar Ines Sofia Camila Valentina
Fatima Aisha Leila Yasmin Zainab Amina Ama Efua Yuki Sakura Naomi Keiko Priya Anjali Lakshmi Deepa Meera Siobhan
Niamh Fiona Moira Eileen
""".split()

# Full names: neither the first nor the family name alone tells the gender, only both together do.
FIRST_NAMES = "Robin Alex Sam Chris Jamie Taylor Morgan Casey Riley Quinn Avery Rowan Jules Kim".split()
FAMILY_NAMES = "Smith Jones Davis Wilson Moore Lewis Harris".split()

MALE_ROLES = """
king uncle father brother son prince waiter husband grandfather boy man gentleman nephew monk lord wizard
landlord hero duke host groom widower
""".split()

FEMALE_ROLES = """
queen aunt mother sister daughter princess waitress wife grandmother girl woman lady niece nun baroness witch
landlady heroine duchess hostess bride widow
""".split()

NEUTRAL_ROLES = """
teacher doctor nurse judge farmer baker lawyer writer painter singer dancer driver pilot sailor soldier captain
mayor manager director secretary student scientist engineer builder carpenter gardener butcher tailor barber chef
cook clerk banker librarian professor coach referee reporter editor poet musician guard detective dentist surgeon
plumber electrician mechanic shopkeeper merchant tourist neighbour visitor stranger leader president minister
""".split()

NOUNS = {
    "fruit": """apple banana orange pear peach plum cherry grape lemon melon mango strawberry apricot fig coconut
        blueberry kiwi raspberry""",
    "food": """cake pie soup salad sandwich cookie pancake sausage potato tomato carrot onion egg pizza biscuit
        pumpkin cucumber pepper mushroom noodle""",
    "tool": """hammer saw drill shovel rake axe knife wrench screwdriver needle brush broom bucket ladder rope
        pencil pen ruler chisel spade""",
    "animal": """dog cat horse cow pig goat duck chicken rabbit fox wolf bear lion tiger elephant monkey mouse bird
        eagle owl frog snake turtle camel donkey zebra giraffe swan pony squirrel""",
    "vehicle": """car bus train truck bicycle boat ship plane tractor taxi wagon van tram ferry canoe""",
    "cloth": """coat hat shirt dress jacket sweater skirt glove boot shoe sock belt tie cap blouse cloak""",
    "furniture": """table chair bed desk sofa lamp shelf cupboard mirror carpet stool bench drawer clock curtain""",
    "instrument": "piano violin guitar flute drum trumpet cello harp organ clarinet banjo",
    "building": """house school hospital church library museum theatre station castle hotel factory bakery barn
        tower palace cottage temple office shop restaurant""",
    "place": """garden park forest field river lake mountain hill village city beach island valley desert street
        bridge market kitchen harbour meadow""",
    "plant": "tree flower bush rose tulip daisy oak vine weed fern cactus lily",
    "toy": "ball doll puzzle kite balloon marble puppet robot whistle rocket",
    "thing": """book letter key box bag basket bottle cup plate bowl candle camera phone radio umbrella ring
        watch coin map ticket picture newspaper parcel wallet blanket pillow purse necklace suitcase medal""",
}

MASS_NOUNS = "water milk bread coffee tea juice rice cheese butter sugar salt honey".split()
ABSTRACT = "freedom truth love money peace music luck beauty courage knowledge justice hope".split()
SUBJECTS = "history physics chemistry geography biology poetry maths grammar drawing cooking".split()
WEATHER = "cold warm hot wet dry cloudy windy rainy sunny foggy stormy mild".split()
SEASONS = "spring summer autumn winter".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
COLOURS = "red blue green yellow black white brown purple pink grey golden silver".split()
NUMBERS = "two three four five six seven eight nine ten eleven twelve twenty".split()
SIZES = """big small large little tiny huge heavy light long short old new young strong weak fast slow clean dirty
 broken cheap expensive beautiful ugly strange famous rare common round soft""".split()
MOODS = "happy sad angry tired nervous proud calm lonely hungry thirsty afraid surprised bored cheerful".split()
ADVERBS = "quickly slowly quietly loudly carefully often always sometimes rarely gladly suddenly finally".split()
JOB_THINGS = "project homework work report essay plan problem task speech experiment garden translation".split()

# Forms that are a noun as well as a verb: "the walk was long", "they walk home".
NOUN_VERBS = """walk dance dream talk smile visit call answer drink paint rest laugh fight jump swim ride
 look wish cry work play hope cook travel whisper""".split()

# What the verb says about its subject (the agent) and its object (the patient) decides who is meant later.
VERBS = {
    "help": """help save rescue support guide teach protect defend encourage assist advise train heal warm feed
        shelter cure free""",
    "harm": """hurt insult trick rob push tease mock betray deceive attack threaten offend kick cheat bully slap
        bite wound""",
    "beat": "beat defeat outrun outplay surpass overtake outwit",
    "reward": "thank praise reward honour congratulate applaud admire respect decorate celebrate",
    "blame": "scold blame punish criticise condemn arrest fine accuse suspend jail",
    "comfort": "comfort console pity nurse reassure soothe embrace bandage",
    "meet": "meet visit see notice greet watch find",
    "give": "give lend send sell hand offer bring show",
    "take": "steal borrow buy take snatch receive",
    "fear": "fear hate dislike avoid distrust",
    "like": "love like trust adore miss",
    "move": "run walk jump swim sleep rest play hide wait sit eat drink",
    "sound": "sing shout whisper cry laugh smile",
    "make": "make build draw paint sell buy find carry clean repair",
    "flee": "escape hide run",
}

GOOD_COMPARATIVES = "stronger faster taller cleverer braver wiser quicker better".split()
BAD_COMPARATIVES = "weaker slower smaller lazier clumsier worse sillier duller".split()

TIMES = (
    """today yesterday tonight later|this morning|last week|last night|last year|in the evening|after lunch|
before breakfast|at noon|at midnight|one day|two days ago|a month ago|after the party|during the holidays""".replace(
        "\n", ""
    )
    .replace("today yesterday tonight later", "today|yesterday|tonight|later")
    .split("|")
)
