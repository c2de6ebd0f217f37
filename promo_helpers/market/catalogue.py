"""What the simulated supermarket sells: plain data. Items are listed by popularity, with their price in LKR and their package."""

# category: share of units, margin (share of list price), tilt of its share per 15 years of age, "item/LKR/package; ..."
# Prices are near those of Colombo supermarkets in 2024; margins follow grocery lore: staples thin, spices and care fat.
CATEGORIES: dict[str, tuple[float, float, float, str]] = {
    "Bakery": (0.105, 0.31, 0.0, "White Bread/190/450 g; Sandwich Bread/260/500 g; Kimbula Bun/90/1 pc; Brown Bread/290/450 g; "
               "Fish Bun/110/1 pc; Butter Cake/780/450 g; Tea Bun/80/1 pc; Roti Wrap/240/6 pc; Sponge Cake/540/350 g"),
    "Dairy": (0.115, 0.28, 0.05, "Fresh Milk/520/1 l; Butter/890/200 g; Curd/480/1 l; Yoghurt/95/80 g; Milk Powder/1180/400 g; "
              "Cheese Slices/980/200 g; Flavoured Milk/160/180 ml; Margarine/560/250 g; Ghee/1650/325 ml"),
    "Beverages": (0.090, 0.30, -0.05, "Ceylon Tea/620/400 g; Ginger Beer/230/1 l; Coffee/740/200 g; "
    "Orange Juice/560/1 l; Cola/340/1.5 l; "
                  "Drinking Water/120/1.5 l; Cordial/690/750 ml; Malt Drink/1150/400 g; King Coconut/180/300 ml"),
    "Fruits": (0.080, 0.32, 0.10, "Bananas/320/1 kg; Papaya/280/1 kg; Pineapple/420/1 pc; Mango/650/1 kg; Apples/190/1 pc; "
               "Watermelon/260/1 kg; Oranges/170/1 pc; Avocado/480/1 kg; Grapes/1450/1 kg"),
    "Vegetables": (0.110, 0.30, 0.10, "Carrots/420/1 kg; Onions/360/1 kg; Potatoes/390/1 kg; Tomatoes/440/1 kg; "
    "Green Beans/520/1 kg; "
                   "Cabbage/280/1 kg; Leeks/380/1 kg; Pumpkin/220/1 kg; Gotukola/80/1 bunch"),
    "Meat": (0.060, 0.22, 0.0, "Chicken/1350/1 kg; Eggs/480/10 pc; Sausages/920/400 g; Fish Fillet/1680/500 g; "
    "Chicken Wings/1180/1 kg; "
             "Beef/2400/1 kg; Meatballs/860/400 g; Prawns/2650/500 g; Mutton/3600/1 kg"),
    "Snacks": (0.085, 0.34, -0.20, "Biscuits/240/200 g; Potato Chips/380/100 g; Chocolate/450/100 g; Cream Crackers/290/190 g; "
               "Cassava Chips/260/100 g; Roasted Peanuts/320/150 g; Murukku/280/200 g; Wafers/210/100 g; Toffees/190/150 g"),
    "Household": (0.055, 0.29, 0.05, "Washing Powder/640/1 kg; Dish Wash/390/500 ml; Tissue Roll/180/1 pc; "
    "Floor Cleaner/720/1 l; "
                  "Bleach/460/1 l; Mosquito Coils/240/10 pc; Garbage Bags/350/20 pc; Fabric Softener/880/860 ml; "
                  "Sponges/160/3 pc"),
    "Rice & Grains": (0.070, 0.18, 0.10, "Samba Rice/260/1 kg; Red Lentils/430/1 kg; Nadu Rice/240/1 kg; Wheat Flour/270/1 kg; "
                      "Red Rice/290/1 kg; Basmati Rice/890/1 kg; Chickpeas/620/1 kg; Green Gram/780/1 kg; Noodles/210/350 g"),
    "Spices": (0.045, 0.38, 0.10, "Curry Powder/380/200 g; Chilli Powder/420/200 g; Sugar/310/1 kg; Salt/130/400 g; "
    "Turmeric/340/100 g; "
               "Cinnamon/560/100 g; Pepper/490/100 g; Coconut Oil/980/750 ml; Mustard Seeds/180/100 g"),
    "Frozen Foods": (0.035, 0.30, -0.15, "Ice Cream/780/1 l; Frozen Peas/520/400 g; Fish Fingers/890/300 g; "
    "Frozen Parata/560/10 pc; "
                     "Vegetable Rolls/640/6 pc; French Fries/980/1 kg; Chicken Nuggets/1080/400 g; "
                     "Ice Lollies/120/1 pc; Dumplings/950/300 g"),
    "Canned Foods": (0.040, 0.28, 0.0, "Canned Mackerel/540/425 g; Baked Beans/480/420 g; Coconut Milk/390/400 ml; "
    "Canned Tuna/690/185 g; "
                     "Sweet Corn/560/400 g; Canned Pineapple/640/560 g; Tomato Paste/420/200 g; Mushrooms/720/400 g; "
                     "Fruit Cocktail/980/820 g"),
    "Baby Products": (0.030, 0.24, -0.60, "Diapers/1850/24 pc; Baby Wipes/520/80 pc; Baby Soap/190/75 g; "
    "Infant Formula/2450/400 g; "
                      "Baby Cereal/680/200 g; Baby Cologne/460/100 ml; Baby Shampoo/590/200 ml; "
                      "Baby Lotion/640/200 ml; Feeding Bottle/980/1 pc"),
    "Personal Care": (0.050, 0.35, -0.10, "Soap/160/100 g; Shampoo/620/180 ml; Toothpaste/290/120 g; Conditioner/680/180 ml; "
                      "Face Wash/890/100 ml; Deodorant/980/150 ml; Toothbrush/220/1 pc; Hand Wash/540/250 ml; "
                      "Hair Oil/480/200 ml"),
    "Breakfast Items": (0.030, 0.31, -0.10, "Jam/560/450 g; Corn Flakes/980/300 g; Oats/890/500 g; Honey/1450/350 ml; "
    "Peanut Butter/1180/340 g; "
                        "Chocolate Spread/1280/350 g; Muesli/1650/500 g; Kithul Treacle/980/350 ml; Pancake Mix/640/400 g"),
}  # fmt: skip

# parent: children. A product is a parent or a child, never both, and never of its own category.
COMPLEMENTS: dict[str, tuple[str, ...]] = {
    "White Bread": ("Butter", "Jam"),
    "Ceylon Tea": ("Biscuits", "Sugar"),
    "Carrots": ("Coconut Milk",),
    "Corn Flakes": ("Bananas",),
    "Chicken": ("Curry Powder",),
    "Diapers": ("Soap",),
}

# ten popular products of ten categories, each with a margin above the deepest offer
TRIAL_PRODUCTS = (
    "White Bread", "Fresh Milk", "Ceylon Tea", "Bananas", "Carrots",
    "Biscuits", "Washing Powder", "Curry Powder", "Ice Cream", "Soap",
)  # fmt: skip

# brand, price against the first one; the first is the one that an item is known by
BRANDS: tuple[tuple[str, float], ...] = (("Lanka Choice", 1.0), ("Island Harvest", 1.12), ("Serendib", 1.22), ("Kandyan", 0.94))

# city, share of customers; the first ten have a store
CITIES: tuple[tuple[str, float], ...] = (
    ("Colombo", 0.24), ("Kandy", 0.13), ("Galle", 0.10), ("Negombo", 0.09), ("Jaffna", 0.08), ("Kurunegala", 0.08),
    ("Matara", 0.07), ("Anuradhapura", 0.06), ("Batticaloa", 0.05), ("Ratnapura", 0.05), ("Badulla", 0.03), ("Trincomalee", 0.02),
)  # fmt: skip

FEMALE_NAMES = (  # noqa: SIM905
    "Amaya Anjali Anusha Ayesha Chamari Chathurika Dilhani Dinusha Fathima Gayani Hasini Hiruni Imesha Ishara Janani "
    "Kavindi Kumari "
    "Lakmini Madhavi Malini Nadeesha Nilmini Nimasha Oshadi Piyumi Priya Rashmi Sachini Sanduni Shalini Sharmila "
    "Sithara Tharushi Thilini "
    "Udari Vasuki Vindya Yamuna Yasodha Zainab"
).split()
MALE_NAMES = (  # noqa: SIM905
    "Ajith Amila Arjun Asanka Ashan Buddhika Chaminda Chathura Dhanushka Dilshan Dinesh Eranga Gayan Harsha Ishan "
    "Janaka Kamal Kasun Kavinda "
    "Lahiru Lakshan Mahesh Malinga Mohamed Nalin Nimal Nuwan Pradeep Rajiv Ravi Roshan Ruwan Sahan Saman Suresh "
    "Tharindu Thilina Upul "
    "Vimal Yohan"
).split()
FAMILY_NAMES = (  # noqa: SIM905
    "Abeysekara Amarasinghe Bandara Cooray Dassanayake De_Silva Dias Dissanayake Ekanayake Fernando Fonseka Gamage "
    "Gunasekara Gunawardena "
    "Herath Hettiarachchi Hussain Jayasinghe Jayasuriya Jayawardena Karunaratne Kulatunga Kumara Liyanage Mendis "
    "Mohideen Nanayakkara "
    "Nadarajah Peiris Perera Pillai Pushparajah Rajapaksha Ranasinghe Ratnayake Samaraweera Senanayake Sivakumar "
    "Thambiah Tissera "
    "Weerasinghe Wickramasinghe Wijesinghe Yapa"
).split()
